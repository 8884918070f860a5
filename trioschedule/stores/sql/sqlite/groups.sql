-- All groups that were opened and not left.
SELECT name FROM open_group ORDER BY name
