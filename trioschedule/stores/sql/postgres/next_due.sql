-- When there will be something for such a claim.
WITH RECURSIVE {every},
served (queue, room) AS (
    SELECT name COLLATE "C", room FROM unnest(%(queues)s::text[], %(rooms)s::bigint[]) AS given (name, room)
    WHERE room > 0
    UNION ALL
    SELECT queue, %(limit)s::bigint FROM every WHERE queue IS NOT NULL AND queue <> ALL (%(queues)s::text[])
)
SELECT min(first.wake_at) FROM served
CROSS JOIN (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS level (priority)
CROSS JOIN LATERAL (
    SELECT job.wake_at FROM {schema}.job
    WHERE owner IS NULL AND wake_at IS NOT NULL AND job.queue = served.queue AND job.priority = level.priority
    ORDER BY job.wake_at, job.id LIMIT 1
) AS first
