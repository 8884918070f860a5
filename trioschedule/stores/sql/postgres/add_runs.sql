-- Runs are over: arrays of the columns of a `RunRow`. That of a job which is gone, or neither this node's nor new, is dropped; one
-- that is there is replaced. The ids of the jobs are said once more, for the server to know how many there are.
INSERT INTO {schema}.run (id, job_id, due, status, finished_at, data)
SELECT
    (one ->> 0)::bigint, (one ->> 1)::bigint, (one ->> 2)::bigint, one ->> 3, (one ->> 4)::bigint, one ->> 5
FROM jsonb_array_elements(%(rows)s::jsonb) AS given (one)
WHERE (one ->> 1)::bigint IN (SELECT id FROM {schema}.job WHERE id = ANY (%(ids)s::bigint[]) AND ({mine} OR id = ANY (%(new)s::bigint[])))
ON CONFLICT (id) DO UPDATE SET
    job_id = excluded.job_id, due = excluded.due, status = excluded.status, finished_at = excluded.finished_at,
    data = excluded.data
