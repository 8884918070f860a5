-- Of queues with a limit for all nodes one node at a time claims, until the end of its transaction.
SELECT pg_advisory_xact_lock(hashtext('trioschedule queues of ' || %(schema)s), hashtext(name))
FROM unnest(%(names)s::text[]) AS given (name) ORDER BY hashtext(name)
