-- Whether there is such a schema, whether it is one of ours, and how many things of others are in it.
SELECT
    EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = %(schema)s),
    EXISTS (
        SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = %(schema)s AND relname = 'trioschedule_version'
    ),
    (
        SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = %(schema)s
    )
