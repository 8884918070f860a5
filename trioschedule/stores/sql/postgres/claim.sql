-- Hold what is due and nobody's: of each queue as much as there is room for, here and, if all nodes together have a
-- limit, by that, by priority, time and id. Each level of priority is a range of the index.
WITH RECURSIVE {every},
served (queue, room) AS (
    SELECT name COLLATE "C", least(room, total - CASE WHEN total IS NOT NULL THEN (
        SELECT count(*) FROM {schema}.job WHERE owner IS NOT NULL AND job.queue = given.name
    ) END)
    FROM unnest(%(queues)s::text[], %(rooms)s::bigint[], %(totals)s::bigint[]) AS given (name, room, total)
    WHERE room > 0
    UNION ALL
    SELECT queue, %(limit)s::bigint FROM every WHERE queue IS NOT NULL AND queue <> ALL (%(queues)s::text[])
),
found (id) AS MATERIALIZED (
    SELECT due.id FROM served
    CROSS JOIN LATERAL (
        SELECT first.id, level.priority, first.wake_at
        FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS level (priority)
        CROSS JOIN LATERAL (
            SELECT job.id, job.wake_at FROM {schema}.job
            WHERE owner IS NULL AND wake_at IS NOT NULL AND job.queue = served.queue
                AND job.priority = level.priority AND job.wake_at <= %(now)s::bigint
                AND (
                    %(functions)s::text[] IS NULL OR job.wake_at <= %(strange)s::bigint
                    OR job.function = ANY (%(functions)s::text[])
                )
            ORDER BY job.wake_at, job.id LIMIT greatest(served.room, 0) FOR UPDATE SKIP LOCKED
        ) AS first
        LIMIT greatest(served.room, 0)
    ) AS due
    ORDER BY due.priority, due.wake_at, due.id LIMIT %(limit)s::bigint
)
UPDATE {schema}.job SET owner = %(place)s WHERE id = ANY (ARRAY(SELECT id FROM found)) RETURNING {job}
