-- The highest ids that were given out.
SELECT
    greatest((SELECT max(id) FROM {schema}.job), (SELECT max(job_id) FROM {schema}.node)),
    greatest((SELECT max(id) FROM {schema}.run), (SELECT max(run_id) FROM {schema}.node))
