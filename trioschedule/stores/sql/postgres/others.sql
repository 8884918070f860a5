-- Whether there are other nodes.
SELECT count(*) FROM {schema}.node WHERE free_at IS NULL AND place <> %(place)s
