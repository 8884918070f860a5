-- New jobs: arrays of the columns of a `JobRow`, and whether this node goes on holding it. One that is there is replaced
-- if it does. Not jsonb_to_recordset, which takes half as long again, for it wants every name in every row.
INSERT INTO {schema}.job (
    id, function, args, "trigger", options, queue, priority, "group", declared, created_at, name, unique_key, key_until,
    status, wake_at, finished_at, state, runs, owner
)
SELECT
    (one ->> 0)::bigint, one ->> 1, one ->> 2, one ->> 3, one ->> 4, one ->> 5, (one ->> 6)::bigint, one ->> 7,
    (one ->> 8)::boolean, (one ->> 9)::bigint, one ->> 10, one ->> 11, (one ->> 12)::bigint, one ->> 13,
    (one ->> 14)::bigint, (one ->> 15)::bigint, one ->> 16, one ->> 17,
    CASE WHEN (one ->> 18)::boolean THEN %(place)s::integer END
FROM jsonb_array_elements(%(rows)s::jsonb) AS given (one)
WHERE (one ->> 0)::bigint <> ALL ((SELECT current_setting('trioschedule.skipped'))::bigint[])
ON CONFLICT (id) DO UPDATE SET
    function = excluded.function, args = excluded.args, "trigger" = excluded."trigger", options = excluded.options,
    queue = excluded.queue, priority = excluded.priority, "group" = excluded."group", declared = excluded.declared,
    created_at = excluded.created_at, name = excluded.name, unique_key = excluded.unique_key,
    key_until = excluded.key_until, status = excluded.status, wake_at = excluded.wake_at,
    finished_at = excluded.finished_at, state = excluded.state, runs = excluded.runs, owner = excluded.owner
WHERE job.owner = %(place)s
RETURNING id
