-- How many jobs are not over.
SELECT COUNT(*) FROM job INDEXED BY job_live WHERE finished_at IS NULL
