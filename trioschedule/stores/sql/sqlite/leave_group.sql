-- A group was left.
DELETE FROM open_group WHERE name = ?
