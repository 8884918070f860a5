-- The newest runs of a job.
SELECT id, job_id, due, status, finished_at, data FROM run INDEXED BY run_job
WHERE job_id = ? ORDER BY id DESC LIMIT ?
