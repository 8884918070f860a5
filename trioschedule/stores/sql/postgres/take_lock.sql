-- One scheduler at a time has the schema, for as long as its connection lasts.
SELECT pg_advisory_lock(hashtextextended('trioschedule scheduler on ' || %(schema)s, 0))
