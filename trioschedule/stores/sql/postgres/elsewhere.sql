-- Of these jobs those that other nodes hold, and who.
SELECT id, holder FROM (
    SELECT id, (SELECT name FROM {schema}.node WHERE place = job.owner) AS holder FROM {schema}.job
    WHERE id = ANY (%(ids)s::bigint[]) AND owner IS DISTINCT FROM %(place)s
) AS asked
WHERE holder IS NOT NULL
