-- Streams of runs: chunks are added under the run's lease, read in order of offset, and deleted with the run.
--
-- Guarantees: of a run, a stream and an offset there is one chunk, the first that was written.
-- Locks: to add, the runs' rows in `running` FOR SHARE, in order of run, as for journal entries: a claim of the run by
-- another worker waits, and the new owner finds all that was written. To delete, whoever deletes has the runs.
-- Unlike SQLite, `insert_held_chunks` is all or nothing: if any lease is gone it writes nothing.

-- name: insert_held_chunks
WITH wanted AS MATERIALIZED (
    SELECT DISTINCT run, epoch FROM unnest($1::holdfast.chunk_row[])
), held AS MATERIALIZED (
    SELECT FROM (SELECT * FROM wanted ORDER BY run) AS v
    CROSS JOIN LATERAL (
        SELECT FROM holdfast.running AS g WHERE g.run = v.run AND g.epoch = v.epoch FOR SHARE
    ) AS g
)
INSERT INTO holdfast.chunks (run, stream, ordinal, kind, at, writer, generation, seq, data)
SELECT run, stream, ordinal, kind, at, writer, generation, seq, data FROM unnest($1::holdfast.chunk_row[])
WHERE (SELECT count(*) FROM held) = (SELECT count(*) FROM wanted)
ON CONFLICT DO NOTHING

-- Behind the locks of their leases.
-- name: insert_chunks
INSERT INTO holdfast.chunks (run, stream, ordinal, kind, at, writer, generation, seq, data)
SELECT run, stream, ordinal, kind, at, writer, generation, seq, data FROM unnest($1::holdfast.chunk_row[])
ON CONFLICT DO NOTHING

-- The status and the chunks are of one instant: a run that has ended by then writes nothing that is not found.
-- name: read_chunks
SELECT r.status, c.ordinal, c.kind, c.data, c.at FROM holdfast.runs AS r
LEFT JOIN LATERAL (
    SELECT * FROM (
        SELECT n.*, sum(octet_length(n.data)) OVER (ORDER BY n.ordinal) AS size,
               row_number() OVER (ORDER BY n.ordinal) AS place
        FROM (
            SELECT c.ordinal, c.kind, c.data, c.at FROM holdfast.chunks AS c
            WHERE c.run = $2 AND c.stream = $3 AND c.ordinal > $4 ORDER BY c.ordinal LIMIT $5
        ) AS n
    ) AS n WHERE n.place = 1 OR n.size <= $6
) AS c ON true
WHERE r.uid = $2 AND r.tenant = $1
ORDER BY c.ordinal

-- From name to name along the key, past all chunks but the last of each.
-- name: list_streams
WITH RECURSIVE names (name, n) AS (
    SELECT (SELECT stream FROM holdfast.chunks WHERE run = $2 ORDER BY stream LIMIT 1), 1
    UNION ALL
    SELECT (SELECT stream FROM holdfast.chunks WHERE run = $2 AND stream > names.name ORDER BY stream LIMIT 1), n + 1
    FROM names WHERE name IS NOT NULL AND n < $3
)
SELECT n.name, c.ordinal + 1, c.kind = 'end' FROM names AS n
CROSS JOIN LATERAL (
    SELECT c.ordinal, c.kind FROM holdfast.chunks AS c WHERE c.run = $2 AND c.stream = n.name
    ORDER BY c.ordinal DESC LIMIT 1
) AS c
WHERE EXISTS (SELECT FROM holdfast.runs WHERE uid = $2 AND tenant = $1)
ORDER BY n.name

-- The difference of two numberings stays the same as long as the offsets are one behind the other.
-- name: stretches
SELECT min(ordinal), max(ordinal), kind, writer, generation, seq, ''::bytea FROM (
    SELECT ordinal, kind, writer, generation, seq,
           ordinal - row_number() OVER (PARTITION BY kind, writer, generation, seq ORDER BY ordinal) AS island
    FROM holdfast.chunks WHERE run = $1 AND stream = $2 AND kind <> 'reset'
) AS c
GROUP BY kind, writer, generation, seq, island
UNION ALL
SELECT ordinal, ordinal, kind, writer, generation, seq, data
FROM holdfast.chunks WHERE run = $1 AND stream = $2 AND kind = 'reset'
ORDER BY 1

-- name: moved
SELECT v.i::integer - 1 FROM unnest($1::bytea[], $2::text[], $3::bigint[]) WITH ORDINALITY AS v (run, stream, after, i)
LEFT JOIN LATERAL (
    SELECT true AS found FROM holdfast.chunks AS c
    WHERE c.run = v.run AND c.stream = v.stream AND c.ordinal > v.after ORDER BY c.ordinal LIMIT 1
) AS c ON true
LEFT JOIN LATERAL (
    SELECT true AS open FROM holdfast.runs AS r WHERE r.uid = v.run AND r.status IN ('open', 'held') OFFSET 0
) AS r ON true
WHERE c.found OR r.open IS NULL

-- The first of each run first, along the key: no more are looked at than are deleted.
-- name: delete_chunks
DELETE FROM holdfast.chunks WHERE ctid = ANY (ARRAY(
    SELECT c.place FROM unnest($1::bytea[]) AS v (run)
    CROSS JOIN LATERAL (
        SELECT c.ctid AS place FROM holdfast.chunks AS c WHERE c.run = v.run ORDER BY c.stream, c.ordinal LIMIT $2
    ) AS c
    LIMIT $2
))

-- name: with_chunks
SELECT v.run FROM unnest($1::bytea[]) AS v (run)
WHERE EXISTS (SELECT FROM holdfast.chunks AS c WHERE c.run = v.run OFFSET 0)
