-- End the process of a connection that we gave up, should it be there yet.
SELECT pg_terminate_backend(%(pid)s)
