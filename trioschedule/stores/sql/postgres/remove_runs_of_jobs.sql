-- Forget the history of jobs.
DELETE FROM {schema}.run WHERE job_id = ANY (%(ids)s::bigint[])
