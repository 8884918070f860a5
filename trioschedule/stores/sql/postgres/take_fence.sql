-- The next number: whoever has a lower one has the schema no more.
UPDATE {schema}.holder SET fence = fence + 1 RETURNING fence
