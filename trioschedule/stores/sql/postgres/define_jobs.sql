-- Jobs are defined otherwise: arrays of the columns of a `JobDefinition`.
UPDATE {schema}.job SET
    function = one ->> 1, args = one ->> 2, "trigger" = one ->> 3, options = one ->> 4, queue = one ->> 5,
    "group" = one ->> 6, declared = (one ->> 7)::boolean
FROM jsonb_array_elements(%(rows)s::jsonb) AS given (one)
WHERE id = (one ->> 0)::bigint
