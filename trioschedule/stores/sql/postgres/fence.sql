-- The number of who has it.
SELECT fence FROM {schema}.holder
