-- Given names that end in a number above this one.
SELECT DISTINCT name FROM {schema}.job WHERE number > %(last)s::bigint
