-- Jobs are defined otherwise: arrays of the columns of a `JobDefinition`. The ids are said once more, for the server to
-- know how many there are.
UPDATE {schema}.job SET
    function = one ->> 1, args = one ->> 2, "trigger" = one ->> 3, options = one ->> 4, queue = one ->> 5,
    priority = (one ->> 6)::bigint, "group" = one ->> 7, declared = (one ->> 8)::boolean
FROM jsonb_array_elements(%(rows)s::jsonb) AS given (one)
WHERE id = ANY (%(ids)s::bigint[]) AND id = (one ->> 0)::bigint AND {mine}
RETURNING id
