-- A job is defined otherwise.
UPDATE job
SET function = ?, args = ?, "trigger" = ?, options = ?, queue = ?, priority = ?, "group" = ?, declared = ?
WHERE id = ?
