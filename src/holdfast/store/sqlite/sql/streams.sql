-- Streams of runs: chunks are added under the run's lease, read in order of offset, and deleted with the run.
--
-- Guarantees: of a run, a stream and an offset there is one chunk, the first that was written.

-- name: insert_chunks
INSERT INTO chunks (run, stream, ordinal, kind, at, writer, generation, seq, data)
SELECT column1, column3, column4, column5, column7, column8, column9, column10, column6
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS v
WHERE EXISTS (SELECT 1 FROM running WHERE run = v.column1 AND epoch = v.column2)
ON CONFLICT DO NOTHING

-- name: status
SELECT status FROM runs WHERE uid = ? AND tenant = ?

-- name: read_chunks
SELECT ordinal, kind, data, at FROM chunks WHERE run = ? AND stream = ? AND ordinal > ? ORDER BY ordinal LIMIT ?

-- From name to name along the key, past all chunks but the last of each.
-- name: list_streams
SELECT n.name, c.ordinal + 1, c.kind = 'end' FROM (
    WITH RECURSIVE names (name, n) AS (
        SELECT (SELECT stream FROM chunks WHERE run = :run ORDER BY stream LIMIT 1), 1
        UNION ALL
        SELECT (SELECT stream FROM chunks WHERE run = :run AND stream > names.name ORDER BY stream LIMIT 1), n + 1
        FROM names WHERE name IS NOT NULL AND n < :limit
    )
    SELECT name FROM names WHERE name IS NOT NULL
) AS n
JOIN chunks AS c ON c.run = :run AND c.stream = n.name AND c.ordinal = (
    SELECT max(ordinal) FROM chunks WHERE run = :run AND stream = n.name
)
WHERE EXISTS (SELECT 1 FROM runs WHERE uid = :run AND tenant = :tenant)
ORDER BY n.name

-- The difference of two numberings stays the same as long as the offsets are one behind the other.
-- name: stretches
SELECT min(ordinal), max(ordinal), kind, writer, generation, seq, x'' FROM (
    SELECT ordinal, kind, writer, generation, seq,
           ordinal - row_number() OVER (PARTITION BY kind, writer, generation, seq ORDER BY ordinal) AS island
    FROM chunks WHERE run = ? AND stream = ? AND kind <> 'reset'
)
GROUP BY kind, writer, generation, seq, island

-- name: resets
SELECT ordinal, ordinal, kind, writer, generation, seq, data
FROM chunks WHERE run = ? AND stream = ? AND kind = 'reset'

-- name: moved
SELECT EXISTS (SELECT 1 FROM chunks WHERE run = :run AND stream = :stream AND ordinal > :after)
    OR NOT EXISTS (SELECT 1 FROM runs WHERE uid = :run AND status IN ('open', 'held'))

-- name: with_chunks
SELECT v.column1 FROM (VALUES /*rows*/ (?)) AS v WHERE EXISTS (SELECT 1 FROM chunks WHERE run = v.column1)

-- The chunk of a run before which so many are.
-- name: bound
SELECT stream, ordinal FROM chunks WHERE run = ? ORDER BY stream, ordinal LIMIT 1 OFFSET ?

-- name: delete_all
DELETE FROM chunks WHERE run = ?

-- name: delete_streams
DELETE FROM chunks WHERE run = ? AND stream < ?

-- name: delete_before
DELETE FROM chunks WHERE run = ? AND stream = ? AND ordinal < ?
