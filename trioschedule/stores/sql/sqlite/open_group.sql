-- A group was opened.
INSERT OR IGNORE INTO open_group (name) VALUES (?)
