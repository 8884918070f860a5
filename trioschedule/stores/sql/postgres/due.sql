-- Jobs that are due behind this place, by time and id.
SELECT {job} FROM {schema}.job
WHERE wake_at IS NOT NULL AND (wake_at, id) > (%(at)s::bigint, %(id)s::bigint)
ORDER BY wake_at, id LIMIT %(limit)s::bigint
