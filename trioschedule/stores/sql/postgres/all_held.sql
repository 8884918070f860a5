-- All jobs that this node holds.
SELECT {job}, job.claims FROM {schema}.job WHERE owner = %(place)s
