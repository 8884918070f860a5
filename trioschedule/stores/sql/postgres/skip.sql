-- Of arrays of an id, a name and a key, where one is claimed, and the number of a batch, if it is of one: those whose name
-- a live job has, or whose key another one claims, unless they had it before; and with them their batch. They are left
-- out of all that follows. Said as a range of one name: else the server might read all names to look them up in a table
-- of its own.
WITH given AS (
    SELECT (one ->> 0)::bigint AS id, one ->> 1 AS name, one ->> 2 AS key, (one ->> 3)::bigint AS batch
    FROM jsonb_array_elements(%(rows)s::jsonb) AS every (one)
),
taken AS (
    SELECT given.id, given.batch FROM given LEFT JOIN {schema}.job AS mine ON mine.id = given.id
    WHERE (
        NOT coalesce(mine.name = given.name AND mine.finished_at IS NULL, false)
        AND EXISTS (
            SELECT 1 FROM {schema}.job
            WHERE job.name >= given.name AND job.name <= given.name AND job.name IS NOT NULL AND finished_at IS NULL
                AND NOT (owner IS NOT DISTINCT FROM %(place)s AND job.id = ANY (%(ids)s::bigint[]))
        )
    ) OR (
        mine.unique_key IS DISTINCT FROM given.key
        AND EXISTS (
            SELECT 1 FROM {schema}.job
            WHERE unique_key >= given.key AND unique_key <= given.key AND unique_key IS NOT NULL
                AND NOT (owner IS NOT DISTINCT FROM %(place)s AND job.id = ANY (%(ids)s::bigint[]))
                AND (finished_at IS NULL OR key_until > %(now)s::bigint)
        )
    )
),
clashing AS (
    SELECT id FROM taken UNION SELECT id FROM given WHERE batch IN (SELECT batch FROM taken)
),
written AS (
    UPDATE {schema}.node SET skipped = coalesce((SELECT '{' || string_agg(id::text, ',') || '}' FROM clashing), '{}')
    WHERE place = %(place)s RETURNING skipped
)
SELECT set_config('trioschedule.skipped', skipped, true) FROM written
