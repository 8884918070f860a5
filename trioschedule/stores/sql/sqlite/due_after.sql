-- What is due after this time, by time and id.
SELECT id FROM job INDEXED BY job_wake WHERE wake_at > ? ORDER BY wake_at, id LIMIT ?
