-- Which migration was the last.
SELECT max(version) FROM {schema}.trioschedule_version
