-- A new job. One that is there is replaced: an exchange may be sent again after an error.
INSERT OR REPLACE INTO job (
    id, function, args, "trigger", options, queue, priority, "group", declared, created_at,
    name, unique_key, key_until, status, wake_at, finished_at, state, runs, number
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
