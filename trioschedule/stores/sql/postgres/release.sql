-- Jobs are anybody's, but for those that were left out. What is at work in them is for whoever comes first.
UPDATE {schema}.job SET
    owner = NULL,
    wake_at = CASE WHEN status IN ('running', 'cancelling') THEN least(wake_at, %(now)s::bigint) ELSE wake_at END
WHERE id = ANY (%(ids)s::bigint[]) AND {mine}
