-- Forget runs likewise.
WITH newest_to_go (finished_at, id) AS (
    SELECT %(before)s::bigint, '-9223372036854775808'::bigint
    UNION ALL
    (
        SELECT finished_at, id FROM {schema}.run
        WHERE NOT coalesce((
            SELECT reltuples BETWEEN 1 AND %(keep)s::bigint * 0.8 FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
            WHERE n.nspname = %(schema)s AND relname = 'run_finished'
        ), false)
        ORDER BY finished_at DESC, id DESC OFFSET %(keep)s::bigint LIMIT 1
    )
    ORDER BY 1 DESC, 2 DESC LIMIT 1
)
DELETE FROM {schema}.run WHERE id = ANY (ARRAY(
    SELECT id FROM {schema}.run WHERE (finished_at, id) <= (SELECT finished_at, id FROM newest_to_go)
    ORDER BY finished_at, id LIMIT %(most)s::bigint FOR UPDATE SKIP LOCKED
))
