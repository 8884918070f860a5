-- What was said about a queue.
INSERT OR REPLACE INTO queue (name, paused, "limit", configured) VALUES (?, ?, ?, ?)
