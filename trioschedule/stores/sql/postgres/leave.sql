-- A node goes in good order: its place is free at once, and what it held is anybody's.
WITH gone AS (
    UPDATE {schema}.node SET fence = fence + 1, free_at = clock_timestamp()
    WHERE place = %(place)s AND fence = %(fence)s AND name = %(name)s
    RETURNING place
),
freed AS (
    UPDATE {schema}.job SET {freed}
    WHERE owner IN (SELECT place FROM gone)
)
DELETE FROM {schema}.message WHERE recipient = %(name)s
