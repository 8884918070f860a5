-- These runs are history no more, if their jobs are this node's and were not left out.
DELETE FROM {schema}.run
WHERE run.id = ANY (%(ids)s::bigint[])
    AND EXISTS (SELECT 1 FROM {schema}.job WHERE job.id = run.job_id AND {mine})
