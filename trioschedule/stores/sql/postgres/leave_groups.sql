-- Groups were left.
DELETE FROM {schema}.open_group
WHERE owner = %(place)s AND name IN (SELECT one FROM jsonb_array_elements_text(%(rows)s::jsonb) AS given (one))
