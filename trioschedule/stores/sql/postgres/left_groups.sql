-- The blocks of groups that this node is to leave, also those of nodes that have died.
SELECT name FROM {schema}.open_group WHERE owner = %(place)s ORDER BY name
