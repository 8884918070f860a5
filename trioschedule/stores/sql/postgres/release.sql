-- Jobs are anybody's, but for those that were left out. What is at work in them is for whoever comes first.
UPDATE {schema}.job SET {freed}
WHERE id = ANY (%(ids)s::bigint[]) AND {mine}
