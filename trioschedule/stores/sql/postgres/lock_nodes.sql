-- One node at a time enters, until the end of its transaction. By this clock it says when what it buries is due.
SELECT
    pg_advisory_xact_lock(hashtextextended('trioschedule nodes of ' || %(schema)s, 0)),
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
