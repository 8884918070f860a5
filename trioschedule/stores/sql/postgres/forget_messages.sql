-- Messages that have been read.
DELETE FROM {schema}.message WHERE id = ANY (%(ids)s::bigint[])
