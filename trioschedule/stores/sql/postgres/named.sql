-- Of each name: the jobs that are not over, and, of those that are, the newest. Said as a range of one name, so that only
-- the index of names gives them in order: for a common name the server might walk through all jobs by id instead.
SELECT {job} FROM {schema}.job WHERE id = ANY (ARRAY(
    SELECT live.id
    FROM unnest(%(names)s::text[]) AS asked (name)
    CROSS JOIN LATERAL (
        SELECT id FROM {schema}.job
        WHERE name IS NOT NULL AND name >= asked.name AND name <= asked.name AND finished_at IS NULL
        ORDER BY name, id LIMIT ALL
    ) AS live
    UNION ALL
    SELECT newest.id
    FROM unnest(%(names)s::text[]) AS asked (name)
    CROSS JOIN LATERAL (
        SELECT id FROM {schema}.job
        WHERE name IS NOT NULL AND name >= asked.name AND name <= asked.name AND finished_at IS NOT NULL
        ORDER BY name DESC, id DESC LIMIT 1
    ) AS newest
))
