-- The hot path: journal entries and failed attempts, written under the run's lease; and what a run says of itself.
--
-- Guarantees: an entry is written only while `running` says that its run is held under its epoch, and
-- once; a claim of the run by another worker waits until the entry is committed or gone, so that the
-- new owner reads a complete journal.
-- Locks: the runs' rows in `running` FOR SHARE, in order of run. The subquery with FOR SHARE cannot be
-- merged into the query around it, which keeps the plan at one index lookup per row, whatever the
-- planner believes of the table's size.
-- Unlike SQLite, where one writer at a time needs no locks, `insert_checkpoints` is all or nothing: if
-- any lease is gone it writes nothing, and `insert_held_checkpoints` sorts the rows.

-- name: insert_checkpoints
WITH held AS MATERIALIZED (
    SELECT FROM (SELECT run, epoch FROM unnest($1::holdfast.checkpoint_row[]) ORDER BY run) AS v
    CROSS JOIN LATERAL (
        SELECT FROM holdfast.running AS g WHERE g.run = v.run AND g.epoch = v.epoch FOR SHARE
    ) AS g
)
INSERT INTO holdfast.journal (run, position, generation, seq, kind, name, outcome, input, output, attempts,
                              started_at, finished_at, epoch)
SELECT * FROM unnest($1::holdfast.checkpoint_row[])
WHERE (SELECT count(*) FROM held) = cardinality($1)
ON CONFLICT DO NOTHING

-- name: insert_held_checkpoints
INSERT INTO holdfast.journal (run, position, generation, seq, kind, name, outcome, input, output, attempts,
                              started_at, finished_at, epoch)
SELECT v.* FROM (SELECT * FROM unnest($1::holdfast.checkpoint_row[]) ORDER BY run) AS v
CROSS JOIN LATERAL (SELECT FROM holdfast.running AS g WHERE g.run = v.run AND g.epoch = v.epoch FOR SHARE) AS g
ON CONFLICT DO NOTHING

-- name: find_checkpoints
SELECT v.i::integer - 1, j.kind, j.name, j.outcome, j.output, j.seq, j.epoch
FROM unnest($1::bytea[], $2::bytea[], $3::integer[]) WITH ORDINALITY AS v (run, position, generation, i)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.journal AS j
    WHERE j.run = v.run AND j.position = v.position AND j.generation = v.generation OFFSET 0
) AS j

-- Which of the leases are held; they stay so until the transaction ends.
-- name: hold
SELECT v.run, v.epoch FROM (SELECT * FROM unnest($1::bytea[], $2::bigint[]) AS v (run, epoch) ORDER BY run) AS v
CROSS JOIN LATERAL (SELECT FROM holdfast.running AS g WHERE g.run = v.run AND g.epoch = v.epoch FOR SHARE) AS g

-- name: insert_attempts
INSERT INTO holdfast.attempts (run, position, generation, attempt, name, started_at, finished_at, error, next_attempt_at)
SELECT run, position, generation, attempt, name, started_at, finished_at, error, next_attempt_at
FROM unnest($1::holdfast.attempt_row[])
ON CONFLICT DO NOTHING

-- name: upsert_progress
INSERT INTO holdfast.progress (run, current, total, note, at)
SELECT v.run, v.current, v.total, v.note, v.at
FROM (SELECT * FROM unnest($1::holdfast.progress_row[]) ORDER BY run) AS v
CROSS JOIN LATERAL (SELECT FROM holdfast.running AS g WHERE g.run = v.run AND g.epoch = v.epoch FOR SHARE) AS g
ON CONFLICT (run) DO UPDATE
SET current = excluded.current, total = excluded.total, note = excluded.note, at = excluded.at

-- The new facts are inserted by the next statement.
-- name: set_attributes
WITH gone AS (
    DELETE FROM holdfast.attributes WHERE run = ANY ($1::bytea[])
)
UPDATE holdfast.runs AS r SET attributes = v.attributes
FROM unnest($1::bytea[], $2::bytea[]) AS v (run, attributes) WHERE r.uid BETWEEN v.run AND v.run
