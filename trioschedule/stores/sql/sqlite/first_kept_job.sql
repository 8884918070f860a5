-- Of the jobs that are over, the oldest behind so many.
SELECT finished_at, id FROM job INDEXED BY job_finished
WHERE finished_at IS NOT NULL AND declared = 0 ORDER BY finished_at, id LIMIT 1 OFFSET ?
