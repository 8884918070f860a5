-- A fact by its name.
INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)
