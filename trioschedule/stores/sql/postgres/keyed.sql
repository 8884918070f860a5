-- Of each unique key: the newest job. Said as a range of one key, so that only the index of keys gives them in order: for
-- a common key the server might walk through all jobs by id instead.
SELECT {job} FROM {schema}.job WHERE id = ANY (ARRAY(
    SELECT newest.id
    FROM unnest(%(keys)s::text[]) AS asked (key)
    CROSS JOIN LATERAL (
        SELECT id FROM {schema}.job
        WHERE unique_key IS NOT NULL AND unique_key >= asked.key AND unique_key <= asked.key
        ORDER BY unique_key DESC, id DESC LIMIT 1
    ) AS newest
))
