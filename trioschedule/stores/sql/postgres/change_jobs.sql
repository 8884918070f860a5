-- Jobs have lived on: arrays of the columns of a `JobState`, and whether this node goes on holding it. The ids are said
-- once more: of the arrays alone the server would guess that there are a hundred, and read a whole table of thousands.
UPDATE {schema}.job SET
    name = one ->> 1, unique_key = one ->> 2, key_until = (one ->> 3)::bigint, status = one ->> 4,
    wake_at = (one ->> 5)::bigint, finished_at = (one ->> 6)::bigint, state = one ->> 7, runs = one ->> 8,
    owner = CASE WHEN (one ->> 9)::boolean THEN owner END
FROM jsonb_array_elements(%(rows)s::jsonb) AS given (one)
WHERE id = ANY (%(ids)s::bigint[]) AND id = (one ->> 0)::bigint AND {mine}
RETURNING id
