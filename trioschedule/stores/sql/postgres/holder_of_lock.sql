-- Who has the schema. From where, and since when, the server tells only of connections of the same role.
SELECT pid, host(client_addr), backend_start
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND ((classid::bigint << 32) | objid::bigint) = hashtextextended('trioschedule scheduler on ' || %(schema)s, 0)
