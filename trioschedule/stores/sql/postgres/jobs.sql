-- These jobs.
SELECT {job} FROM {schema}.job WHERE id = ANY (%(ids)s::bigint[])
