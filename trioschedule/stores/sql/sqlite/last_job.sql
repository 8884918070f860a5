-- The highest id of a job.
SELECT MAX(id) FROM job
