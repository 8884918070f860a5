-- Nodes that were not heard of for their lease, and a twelfth of it, which is how late they may be written down, are
-- dead. A time in which the server was down does not count. What they held is anybody's, what was said to them goes
-- nowhere, and the blocks of groups that they, or those that were closed, have not left are left by this node for them; or
-- by a node that lives and has such a group open, when it leaves its own. One that works just now is locked, and not dead. Who has no place yet, which is said as -1, leaves no group: who comes next
-- does, or itself, when it has one.
WITH dead AS (
    UPDATE {schema}.node SET fence = fence + 1, free_at = clock_timestamp() + interval '10 minutes'
    WHERE place IN (
        SELECT place FROM {schema}.node
        WHERE free_at IS NULL AND place <> %(place)s
            AND greatest(beat_at, pg_postmaster_start_time()) + lease * 13 / 12 < clock_timestamp()
        FOR UPDATE SKIP LOCKED
    )
    RETURNING place, name
),
freed AS (
    UPDATE {schema}.job SET {freed}
    WHERE owner IN (SELECT place FROM dead)
    RETURNING wake_at
),
unread AS (DELETE FROM {schema}.message WHERE recipient IN (SELECT name FROM dead)),
entered AS (
    DELETE FROM {schema}.open_group
    WHERE %(place)s >= 0
        AND (owner IN (SELECT place FROM dead) OR owner IN (SELECT place FROM {schema}.node WHERE free_at IS NOT NULL))
    RETURNING name
),
taken AS (
    INSERT INTO {schema}.open_group (name, owner) SELECT DISTINCT name, %(place)s FROM entered
    WHERE NOT EXISTS (
        SELECT FROM {schema}.open_group AS other JOIN {schema}.node ON node.place = other.owner
        WHERE other.name = entered.name AND node.free_at IS NULL AND node.place NOT IN (SELECT place FROM dead)
    )
    ON CONFLICT (name, owner) DO NOTHING
)
SELECT name, (SELECT min(wake_at) FROM freed) FROM dead
