-- The newest runs of each of these jobs. Said as a range of one job, so that only the index of jobs gives them in order:
-- for a job with many runs the server might walk through all runs by id instead.
SELECT newest.id, newest.job_id, newest.due, newest.status, newest.finished_at, newest.data
FROM unnest(%(jobs)s::bigint[], %(limits)s::bigint[]) AS asked (job_id, most)
CROSS JOIN LATERAL (
    SELECT id, job_id, due, status, finished_at, data FROM {schema}.run
    WHERE job_id >= asked.job_id AND job_id <= asked.job_id ORDER BY job_id DESC, id DESC LIMIT asked.most
) AS newest
