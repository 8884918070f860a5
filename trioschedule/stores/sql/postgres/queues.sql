-- All queues about which something was said: a few.
SELECT name, paused, "limit", configured FROM {schema}.queue ORDER BY name
