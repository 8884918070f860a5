-- Runs that have been over since before this place: the oldest.
SELECT id FROM run INDEXED BY run_finished
WHERE finished_at <= :at AND (finished_at < :at OR id < :id) ORDER BY finished_at, id LIMIT :most
