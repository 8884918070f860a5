-- Keys that nobody claims any more are whose job comes next, unless that is left out. Keys, and for each the id of that.
UPDATE {schema}.job SET unique_key = NULL, key_until = NULL
WHERE unique_key IS NOT NULL AND unique_key = ANY (ARRAY(
        SELECT key FROM unnest(%(keys)s::text[], %(takers)s::bigint[]) AS given (key, taker)
        WHERE taker <> ALL ((SELECT current_setting('trioschedule.skipped'))::bigint[])
            AND NOT EXISTS (SELECT 1 FROM {schema}.job WHERE job.id = taker AND owner IS DISTINCT FROM %(place)s)
    ))
    AND NOT coalesce(id = ANY (%(ids)s::bigint[]) AND {mine}, false)
    AND finished_at IS NOT NULL AND coalesce(key_until, 0) <= %(now)s::bigint
