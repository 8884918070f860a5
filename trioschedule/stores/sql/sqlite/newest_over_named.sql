-- Of the jobs of this name that are over, the newest.
SELECT id FROM job INDEXED BY job_over_name
WHERE name = ? AND finished_at IS NOT NULL ORDER BY id DESC LIMIT 1
