-- How many jobs are over and may be forgotten.
SELECT COUNT(*) FROM job INDEXED BY job_finished WHERE finished_at IS NOT NULL AND declared = 0
