-- A run is over. That of a job which is gone is dropped; one that is there is replaced.
INSERT OR REPLACE INTO run (id, job_id, due, status, finished_at, data)
SELECT ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM job WHERE id = ?)
