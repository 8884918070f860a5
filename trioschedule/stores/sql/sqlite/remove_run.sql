-- A run is history no more.
DELETE FROM run WHERE id = ?
