-- Of each unique key: the newest job.
SELECT {job} FROM {schema}.job WHERE id = ANY (ARRAY(
    SELECT newest.id
    FROM unnest(%(keys)s::text[]) AS asked (key)
    CROSS JOIN LATERAL (
        SELECT id FROM {schema}.job
        WHERE unique_key IS NOT NULL AND unique_key = asked.key ORDER BY unique_key DESC, id DESC LIMIT 1
    ) AS newest
))
