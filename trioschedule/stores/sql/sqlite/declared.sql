-- Jobs that code declares, over or not.
SELECT id FROM job INDEXED BY job_declared WHERE declared = 1 ORDER BY id
