-- What a node says to others, in its order: arrays of the columns of a `Message`. What is for one that is gone goes
-- nowhere; and what tells of a change that was not made is not said.
INSERT INTO {schema}.message (recipient, sender, body)
SELECT one ->> 0, one ->> 1, one ->> 2 FROM jsonb_array_elements(%(rows)s::jsonb) WITH ORDINALITY AS given (one, number)
JOIN {schema}.node ON node.name = one ->> 0 AND node.free_at IS NULL
WHERE NOT EXISTS (
    SELECT 1 FROM jsonb_array_elements_text(one -> 3) AS about (id)
    WHERE about.id::bigint = ANY (
        (SELECT current_setting('trioschedule.skipped')::bigint[] || current_setting('trioschedule.lost')::bigint[])
        ::bigint[]
    )
)
ORDER BY number
