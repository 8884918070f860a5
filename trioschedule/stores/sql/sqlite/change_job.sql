-- A job has lived on.
UPDATE job
SET name = ?, unique_key = ?, key_until = ?, status = ?, wake_at = ?, finished_at = ?, state = ?, runs = ?, number = ?
WHERE id = ?
