-- The rows of these jobs, whole. The only statement that reads rows of jobs; all others find ids.
SELECT
    job.id, job.function, job.args, job."trigger", job.options, job.queue, job.priority, job."group", job.declared,
    job.created_at, job.name, job.unique_key, job.key_until, job.status, job.wake_at, job.finished_at, job.state,
    job.runs
FROM json_each(?) AS wanted CROSS JOIN job ON job.id = wanted.value
