-- Let the next one have it. The end of the connection would do it too, some milliseconds later.
SELECT pg_advisory_unlock_all()
