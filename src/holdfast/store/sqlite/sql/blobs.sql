-- Values that are kept apart: their bytes in parts, and who uses them.
--
-- Guarantees: a blob and its parts come and go together. A use counts as long as its run, or the event that is kept
-- with such a payload, is there. What is deleted is decided in the transaction that deletes.
-- Locks: none but the one on the file.

-- name: insert
INSERT INTO blobs (id, size_bytes, location, at) VALUES /*rows*/ (?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: insert_part
INSERT INTO blob_parts (blob, number, data) VALUES (?, ?, ?) ON CONFLICT DO NOTHING

-- name: use
INSERT INTO blob_uses (run, blob) VALUES /*rows*/ (?, ?) ON CONFLICT DO NOTHING

-- name: read
SELECT data FROM blob_parts WHERE blob = ? ORDER BY number

-- A fork has the values of its source.
-- name: copy_uses
INSERT INTO blob_uses (run, blob) SELECT ?, blob FROM blob_uses WHERE run = ? ON CONFLICT DO NOTHING

-- name: unused
SELECT b.id, b.location, NOT EXISTS (
    SELECT 1 FROM blob_uses AS u WHERE u.blob = b.id AND (
        EXISTS (SELECT 1 FROM runs WHERE uid = u.run) OR EXISTS (SELECT 1 FROM events WHERE id = u.run)
    )
)
FROM blobs AS b WHERE b.id > ? AND b.id < ? ORDER BY b.id LIMIT ?

-- name: still_unused
SELECT id FROM blobs WHERE id = ? AND NOT EXISTS (
    SELECT 1 FROM blob_uses AS u WHERE u.blob = blobs.id AND (
        EXISTS (SELECT 1 FROM runs WHERE uid = u.run) OR EXISTS (SELECT 1 FROM events WHERE id = u.run)
    )
)

-- name: delete
DELETE FROM blobs WHERE id = ? AND NOT EXISTS (
    SELECT 1 FROM blob_uses AS u WHERE u.blob = blobs.id AND (
        EXISTS (SELECT 1 FROM runs WHERE uid = u.run) OR EXISTS (SELECT 1 FROM events WHERE id = u.run)
    )
)

-- name: delete_parts
DELETE FROM blob_parts WHERE blob = ?

-- name: delete_uses
DELETE FROM blob_uses WHERE blob = ?

-- A run that begins again has no value but its new input.
-- name: use_only
DELETE FROM blob_uses WHERE run = ? AND blob IS NOT ?

-- name: delete_uses_of
DELETE FROM blob_uses WHERE run IN (VALUES /*rows*/ (?))
