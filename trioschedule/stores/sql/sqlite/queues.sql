-- All queues about which something was said: a few.
SELECT name, paused, "limit", configured FROM queue ORDER BY name
