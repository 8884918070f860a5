-- Given names that end in a number above this one.
SELECT name FROM job INDEXED BY job_number WHERE number > ?
