-- Jobs that have a run at work.
SELECT id FROM job INDEXED BY job_active WHERE status IN ('running', 'cancelling') ORDER BY id
