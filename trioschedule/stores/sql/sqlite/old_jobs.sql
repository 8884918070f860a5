-- Jobs that have been over since before this place, and claim no key now: the oldest.
SELECT id FROM job INDEXED BY job_finished
WHERE finished_at IS NOT NULL AND declared = 0 AND finished_at <= :at AND (finished_at < :at OR id < :id)
    AND (key_until IS NULL OR key_until <= :now)
ORDER BY finished_at, id LIMIT :most
