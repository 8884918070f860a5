-- Forget jobs; their runs are removed beside it.
DELETE FROM {schema}.job WHERE id = ANY (%(ids)s::bigint[]) AND {mine}
