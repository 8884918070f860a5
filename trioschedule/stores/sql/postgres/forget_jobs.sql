-- Forget jobs that are over, that claim no key now and that nobody holds, with their history: those before a time, and
-- those behind the newest so many. The oldest first. Whether there are so many is guessed from what the server knows of
-- an index: to count a million each time would be too much. What another node forgets just now is left to it.
WITH newest_to_go (finished_at, id) AS (
    SELECT %(before)s::bigint, '-9223372036854775808'::bigint
    UNION ALL
    (
        SELECT finished_at, id FROM {schema}.job
        WHERE finished_at IS NOT NULL AND NOT declared AND NOT coalesce((
            SELECT reltuples BETWEEN 1 AND %(keep)s::bigint * 0.8 FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
            WHERE n.nspname = %(schema)s AND relname = 'job_finished'
        ), false)
        ORDER BY finished_at DESC, id DESC OFFSET %(keep)s::bigint LIMIT 1
    )
    ORDER BY 1 DESC, 2 DESC LIMIT 1
),
old (id) AS MATERIALIZED (
    SELECT id FROM {schema}.job
    WHERE finished_at IS NOT NULL AND NOT declared AND owner IS NULL
        AND (finished_at, id) <= (SELECT finished_at, id FROM newest_to_go)
        AND (key_until IS NULL OR key_until <= %(now)s::bigint)
    ORDER BY finished_at, id LIMIT %(most)s::bigint FOR UPDATE SKIP LOCKED
),
gone AS (DELETE FROM {schema}.run WHERE job_id = ANY (ARRAY(SELECT id FROM old)))
DELETE FROM {schema}.job WHERE id = ANY (ARRAY(SELECT id FROM old)) RETURNING finished_at, id
