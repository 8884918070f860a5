-- Jobs of this name that are over.
SELECT id FROM job INDEXED BY job_over_name
WHERE name = :name AND finished_at IS NOT NULL AND id > :after
    AND (:group IS NULL OR "group" = :group)
    AND (:queue IS NULL OR queue = :queue)
    AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
ORDER BY id LIMIT :limit
