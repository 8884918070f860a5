-- Hold these jobs, as far as they are nobody's.
UPDATE {schema}.job SET owner = %(place)s WHERE id = ANY (ARRAY(
    SELECT id FROM {schema}.job WHERE id = ANY (%(ids)s::bigint[]) AND owner IS NULL ORDER BY id FOR UPDATE
))
