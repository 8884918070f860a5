-- Forget a job; its runs are removed beside it.
DELETE FROM job WHERE id = ?
