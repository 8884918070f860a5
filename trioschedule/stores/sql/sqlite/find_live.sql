-- Jobs that are not over.
SELECT id FROM job INDEXED BY job_live
WHERE finished_at IS NULL AND id > :after
    AND (:queue IS NULL OR queue = :queue)
    AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
ORDER BY id LIMIT :limit
