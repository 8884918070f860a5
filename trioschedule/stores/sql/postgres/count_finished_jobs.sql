-- How many jobs are over and may be forgotten.
SELECT count(*) FROM {schema}.job WHERE finished_at IS NOT NULL AND NOT declared
