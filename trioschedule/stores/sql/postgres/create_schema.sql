-- A place for the tables.
CREATE SCHEMA {schema}
