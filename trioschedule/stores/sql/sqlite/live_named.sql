-- The jobs of this name that are not over.
SELECT id FROM job INDEXED BY job_live_name WHERE name = ? AND finished_at IS NULL ORDER BY id
