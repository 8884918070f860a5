-- The highest id of a run.
SELECT MAX(id) FROM run
