-- The newest job with this unique key.
SELECT id FROM job INDEXED BY job_key WHERE unique_key = ? ORDER BY id DESC LIMIT 1
