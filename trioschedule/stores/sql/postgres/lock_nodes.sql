-- One node at a time enters, until the end of its transaction.
SELECT pg_advisory_xact_lock(hashtextextended('trioschedule nodes of ' || %(schema)s, 0))
