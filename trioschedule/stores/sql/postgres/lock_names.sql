-- Names and keys are taken by one at a time, until the end of its transaction: by buckets, in their order.
SELECT pg_advisory_xact_lock(hashtext('trioschedule names of ' || %(schema)s), bucket)
FROM unnest(%(buckets)s::integer[]) WITH ORDINALITY AS given (bucket, number) ORDER BY number
