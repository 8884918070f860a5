-- The highest id of a job, and of a run.
SELECT (SELECT max(id) FROM {schema}.job), (SELECT max(id) FROM {schema}.run)
