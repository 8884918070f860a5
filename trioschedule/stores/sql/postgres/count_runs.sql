-- How many runs are history.
SELECT count(*) FROM {schema}.run
