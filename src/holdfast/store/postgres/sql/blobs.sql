-- Values that are kept apart: their bytes in parts, and who uses them.
--
-- Guarantees: a blob and its parts come and go together. A use counts as long as its run, or the event that is kept
-- with such a payload, is there.
-- Locks: blobs that are deleted, with SKIP LOCKED. Whether they are used is asked again by a statement behind the one
-- that locks. Whoever gives a value on, as a fork and an event do, may have read it before its holder was deleted, and
-- commit the new use behind that: what is unused is therefore deleted only after longer than a transaction may take,
-- which the caller sees to. SQLite has one transaction at a time.

-- name: insert
INSERT INTO holdfast.blobs (id, size_bytes, location, at)
SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::bigint[])
ON CONFLICT DO NOTHING

-- name: insert_parts
INSERT INTO holdfast.blob_parts (blob, number, data)
SELECT * FROM unnest($1::bytea[], $2::integer[], $3::bytea[])
ON CONFLICT DO NOTHING

-- name: use
INSERT INTO holdfast.blob_uses (run, blob)
SELECT DISTINCT run, blob FROM unnest($1::bytea[], $2::bytea[]) AS v (run, blob) ORDER BY run, blob
ON CONFLICT DO NOTHING

-- name: read
SELECT p.blob, p.data FROM unnest($1::bytea[]) AS v (blob)
CROSS JOIN LATERAL (SELECT * FROM holdfast.blob_parts AS p WHERE p.blob = v.blob OFFSET 0) AS p
ORDER BY p.blob, p.number

-- name: unused
SELECT b.id, b.location, NOT EXISTS (
    SELECT FROM (SELECT u.run FROM holdfast.blob_uses AS u WHERE u.blob = b.id OFFSET 0) AS u
    WHERE EXISTS (SELECT FROM holdfast.runs AS r WHERE r.uid = u.run OFFSET 0)
       OR EXISTS (SELECT FROM holdfast.events AS e WHERE e.id = u.run OFFSET 0)
    OFFSET 0
)
FROM (SELECT * FROM holdfast.blobs WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS b
ORDER BY b.id

-- name: still_unused
SELECT b.id FROM holdfast.blobs AS b WHERE b.id = ANY ($1::bytea[]) AND NOT EXISTS (
    SELECT FROM (SELECT u.run FROM holdfast.blob_uses AS u WHERE u.blob = b.id OFFSET 0) AS u
    WHERE EXISTS (SELECT FROM holdfast.runs AS r WHERE r.uid = u.run OFFSET 0)
       OR EXISTS (SELECT FROM holdfast.events AS e WHERE e.id = u.run OFFSET 0)
    OFFSET 0
)

-- name: lock
SELECT id FROM holdfast.blobs WHERE id = ANY ($1::bytea[]) ORDER BY id FOR UPDATE SKIP LOCKED

-- name: delete
DELETE FROM holdfast.blobs AS b WHERE b.id = ANY ($1::bytea[]) AND NOT EXISTS (
    SELECT FROM (SELECT u.run FROM holdfast.blob_uses AS u WHERE u.blob = b.id OFFSET 0) AS u
    WHERE EXISTS (SELECT FROM holdfast.runs AS r WHERE r.uid = u.run OFFSET 0)
       OR EXISTS (SELECT FROM holdfast.events AS e WHERE e.id = u.run OFFSET 0)
    OFFSET 0
)
RETURNING b.id

-- name: delete_parts
DELETE FROM holdfast.blob_parts WHERE blob = ANY ($1::bytea[])

-- name: delete_uses
DELETE FROM holdfast.blob_uses WHERE blob = ANY ($1::bytea[])

-- name: delete_uses_of
DELETE FROM holdfast.blob_uses WHERE run = ANY ($1::bytea[])
