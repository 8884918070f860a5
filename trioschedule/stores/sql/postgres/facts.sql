-- All facts: a few.
SELECT name, value FROM {schema}.fact
