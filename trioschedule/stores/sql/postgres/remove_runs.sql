-- These runs are history no more.
DELETE FROM {schema}.run WHERE id = ANY (%(ids)s::bigint[])
