-- One at a time migrates, until the end of its transaction.
SELECT pg_advisory_xact_lock(hashtextextended('trioschedule migration of ' || %(schema)s, 0))
