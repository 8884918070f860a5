-- Hold these jobs, as far as they are nobody's. What was claimed before is as claimed again.
UPDATE {schema}.job SET owner = %(place)s, claims = CASE WHEN claims > 0 THEN 2 ELSE 0 END WHERE id = ANY (ARRAY(
    SELECT id FROM {schema}.job WHERE id = ANY (%(ids)s::bigint[]) AND owner IS NULL ORDER BY id FOR UPDATE
))
