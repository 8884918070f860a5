-- All jobs that this node holds.
SELECT {job} FROM {schema}.job WHERE owner = %(place)s
