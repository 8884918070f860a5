-- A job is defined otherwise.
UPDATE job SET function = ?, args = ?, "trigger" = ?, options = ?, queue = ?, "group" = ?, declared = ? WHERE id = ?
