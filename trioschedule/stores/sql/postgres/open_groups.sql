-- Groups were opened.
INSERT INTO {schema}.open_group (name)
SELECT one FROM jsonb_array_elements_text(%(rows)s::jsonb) AS given (one)
ON CONFLICT (name) DO NOTHING
