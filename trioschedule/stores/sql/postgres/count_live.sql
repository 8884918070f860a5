-- How many jobs are not over.
SELECT count(*) FROM {schema}.job WHERE finished_at IS NULL
