-- How many runs are history. Without a condition SQLite counts by pages.
SELECT COUNT(*) FROM run
