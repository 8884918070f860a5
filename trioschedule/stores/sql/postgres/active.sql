-- Jobs that have a run at work.
SELECT {job} FROM {schema}.job WHERE status IN ('running', 'cancelling')
