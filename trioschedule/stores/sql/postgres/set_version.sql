-- A migration is done.
INSERT INTO {schema}.trioschedule_version (version) VALUES (%(version)s)
