-- Forget jobs that are over and claim no key now, with their history: those before a time, and, if it may be that there
-- are too many, those behind the newest so many. The oldest first.
WITH newest_to_go (finished_at, id) AS (
    SELECT %(before)s::bigint, '-9223372036854775808'::bigint
    UNION ALL
    (
        SELECT finished_at, id FROM {schema}.job
        WHERE %(is_full)s::boolean AND finished_at IS NOT NULL AND NOT declared
        ORDER BY finished_at DESC, id DESC OFFSET %(keep)s::bigint LIMIT 1
    )
    ORDER BY 1 DESC, 2 DESC LIMIT 1
),
old (id) AS MATERIALIZED (
    SELECT id FROM {schema}.job
    WHERE finished_at IS NOT NULL AND NOT declared
        AND (finished_at, id) <= (SELECT finished_at, id FROM newest_to_go)
        AND (key_until IS NULL OR key_until <= %(now)s::bigint)
    ORDER BY finished_at, id LIMIT %(most)s::bigint
),
gone AS (DELETE FROM {schema}.run WHERE job_id = ANY (ARRAY(SELECT id FROM old)))
DELETE FROM {schema}.job WHERE id = ANY (ARRAY(SELECT id FROM old)) RETURNING finished_at, id
