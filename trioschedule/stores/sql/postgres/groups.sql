-- All groups that were opened and not left.
SELECT name FROM {schema}.open_group ORDER BY name
