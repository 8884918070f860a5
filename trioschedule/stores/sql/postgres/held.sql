-- Of these jobs those that this node holds.
SELECT {job} FROM {schema}.job WHERE id = ANY (%(ids)s::bigint[]) AND owner IS NOT DISTINCT FROM %(place)s
