-- What was said to a node, and has not been read.
SELECT id, recipient, sender, body FROM {schema}.message WHERE recipient = %(name)s ORDER BY id
