-- Of these jobs those that are not this node's.
SELECT id FROM {schema}.job WHERE id = ANY (%(ids)s::bigint[]) AND owner IS DISTINCT FROM %(place)s
