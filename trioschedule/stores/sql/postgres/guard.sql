-- This node is at work: it is heard of, and its exchange has a number by which it can be told whether it was carried out.
-- If it is not who it was, the division fails, and nothing that follows is done. What only reads and claims need not be
-- on the disk: what follows from it is, or never happened.
WITH mine AS (
    UPDATE {schema}.node SET
        beat_at = clock_timestamp(), stamp = %(stamp)s, skipped = '{}',
        job_id = greatest(job_id, %(job_id)s::bigint), run_id = greatest(run_id, %(run_id)s::bigint)
    WHERE place = %(place)s AND fence = %(fence)s
    RETURNING place
)
SELECT
    1 / count(*), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    set_config('trioschedule.skipped', '{}', true), set_config('trioschedule.lost', '{}', true),
    CASE WHEN NOT %(is_lasting)s THEN set_config('synchronous_commit', 'off', true) END
FROM mine
