-- The same node on another connection: what was sent on the old one and comes late does nothing.
UPDATE {schema}.node SET fence = fence + 1, beat_at = clock_timestamp()
WHERE place = %(place)s AND fence = %(fence)s AND name = %(name)s
RETURNING fence, stamp, skipped
