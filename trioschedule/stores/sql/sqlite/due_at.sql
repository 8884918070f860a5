-- What is due at this very time, behind this id. Not one statement with the next: of (wake_at, id) > (?, ?) SQLite
-- looks up the first column only, and 100,000 jobs may be due at midnight.
SELECT id FROM job INDEXED BY job_wake WHERE wake_at = ? AND id > ? ORDER BY id LIMIT ?
