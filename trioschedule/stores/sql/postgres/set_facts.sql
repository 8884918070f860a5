-- Facts: arrays of name and value.
INSERT INTO {schema}.fact (name, value)
SELECT one ->> 0, one ->> 1 FROM jsonb_array_elements(%(rows)s::jsonb) AS given (one)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
