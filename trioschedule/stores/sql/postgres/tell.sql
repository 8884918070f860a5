-- Let all nodes know, when this transaction commits.
SELECT pg_notify(%(channel)s, %(text)s)
