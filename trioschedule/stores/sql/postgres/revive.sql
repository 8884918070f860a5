-- A node that was taken for dead comes back. It holds nothing any more.
WITH gone AS (
    UPDATE {schema}.node SET fence = fence + 1, beat_at = clock_timestamp(), free_at = NULL
    WHERE place = %(place)s AND name = %(name)s
    RETURNING place, fence, stamp, skipped
),
freed AS (
    UPDATE {schema}.job SET {freed}
    WHERE owner IN (SELECT place FROM gone)
)
SELECT fence, stamp, skipped FROM gone
