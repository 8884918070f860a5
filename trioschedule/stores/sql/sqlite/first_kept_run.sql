-- Of the runs, the oldest behind so many.
SELECT finished_at, id FROM run INDEXED BY run_finished ORDER BY finished_at, id LIMIT 1 OFFSET ?
