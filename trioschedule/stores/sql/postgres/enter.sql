-- A node comes: it takes the lowest place that is free, or was left for good first if none is. Ids that were given out
-- with this place are known, also those of runs which are inside of jobs.
INSERT INTO {schema}.node (place, fence, name, beat_at, lease, stamp, skipped, job_id, run_id)
SELECT free.place, 1, %(name)s, clock_timestamp(), make_interval(secs => %(lease)s), 0, '{}', 0, 0
FROM (
    SELECT place FROM generate_series(0, %(last)s) AS every (place)
    LEFT JOIN {schema}.node USING (place)
    WHERE node.place IS NULL OR node.free_at IS NOT NULL
    ORDER BY greatest(node.free_at, now()), place LIMIT 1
) AS free
ON CONFLICT (place) DO UPDATE SET
    fence = node.fence + 1, name = excluded.name, free_at = NULL, began_at = excluded.beat_at,
    beat_at = excluded.beat_at, lease = excluded.lease, stamp = 0, skipped = '{}'
RETURNING place, fence
