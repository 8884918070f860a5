-- Groups were opened.
INSERT INTO {schema}.open_group (name, owner)
SELECT one, %(place)s::integer FROM jsonb_array_elements_text(%(rows)s::jsonb) AS given (one)
ON CONFLICT (name, owner) DO NOTHING
