-- Of jobs that are about to be changed, and of which messages tell, those that are not this node's.
SELECT set_config('trioschedule.lost', coalesce((
    SELECT '{' || string_agg(asked.id::text, ',') || '}' FROM unnest(%(about)s::bigint[]) AS asked (id)
    WHERE asked.id <> ALL (%(added)s::bigint[])
        AND NOT EXISTS (SELECT 1 FROM {schema}.job WHERE job.id = asked.id AND owner IS NOT DISTINCT FROM %(place)s)
), '{}'), true)
