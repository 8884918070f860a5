-- Forget the history of a job.
DELETE FROM run INDEXED BY run_job WHERE job_id = ?
