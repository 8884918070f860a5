-- Ids of jobs that are not over. Values are known when it is planned: a condition that is none is left out by the server.
SELECT id FROM {schema}.job
WHERE finished_at IS NULL AND id > %(after)s::bigint
    AND (%(name)s::text IS NULL OR name = %(name)s::text)
    AND (%(group)s::text IS NULL OR "group" = %(group)s::text)
    AND (%(queue)s::text IS NULL OR queue = %(queue)s::text)
    AND (%(statuses)s::text[] IS NULL OR status = ANY (%(statuses)s::text[]))
ORDER BY id LIMIT %(limit)s::bigint
