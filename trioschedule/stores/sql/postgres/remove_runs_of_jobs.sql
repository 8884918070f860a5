-- Forget the history of jobs.
DELETE FROM {schema}.run
WHERE job_id = ANY (ARRAY(SELECT id FROM {schema}.job WHERE id = ANY (%(ids)s::bigint[]) AND {mine}))
