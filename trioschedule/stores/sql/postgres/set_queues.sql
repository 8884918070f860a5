-- What was said about queues: arrays of the columns of a `QueueRow`.
INSERT INTO {schema}.queue (name, paused, "limit", configured)
SELECT one ->> 0, (one ->> 1)::boolean, (one ->> 2)::bigint, (one ->> 3)::bigint
FROM jsonb_array_elements(%(rows)s::jsonb) AS given (one)
ON CONFLICT (name) DO UPDATE SET
    paused = excluded.paused, "limit" = excluded."limit", configured = excluded.configured
