-- Jobs that code declares, over or not.
SELECT {job} FROM {schema}.job WHERE declared
