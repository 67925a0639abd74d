-- Runs that leave their worker: parks and settles, and what a settle means for the parent.
--
-- Guarantees: no wake-up is lost. Whoever registers a wait and whoever satisfies it lock the wait's
-- journal entry first. If the park comes first, the settle waits for it, and its later statements, each
-- with a snapshot of its own, see the parked row. If the settle comes first, the park waits, reads the
-- outcome, and does not park. (One statement with all of it in CTEs would have one snapshot, taken
-- before the wait, and would miss the parked row.)
-- Locks: the entries of all the batch's parks and settles (and events, see events.sql) in order of key, by
-- one statement; then `running` in order of run; then `parked` in order of run, once for all that wakes.
-- Unlike SQLite, nothing here may rest on reading first and writing afterwards without a lock.
--
-- A table is joined to the rows sent by a range from the key to itself, rather than by equality: the
-- only plan left is then one index lookup per row, whatever the planner believes of the table's size.

-- name: lock_waits
SELECT v.i::integer - 1, j.outcome
FROM (
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::integer[]) WITH ORDINALITY AS v (run, position, generation, i)
    ORDER BY run, position, generation
) AS v
CROSS JOIN LATERAL (
    SELECT j.outcome FROM holdfast.journal AS j
    WHERE j.run = v.run AND j.position = v.position AND j.generation = v.generation FOR UPDATE
) AS j

-- `running` is deleted from by key, not by place: a row that was waited for because something was being asked
-- of its run has moved, and this statement's snapshot does not see it where it is now.

-- A run that a person asks something of stays, unless it is handed over. The row is judged as it is once it
-- is locked, also after a wait for it.
-- name: park
WITH held AS MATERIALIZED (
    SELECT v.* FROM (SELECT * FROM unnest($1::holdfast.park_row[]) ORDER BY run) AS v
    CROSS JOIN LATERAL (
        SELECT FROM holdfast.running AS g
        WHERE g.run = v.run AND g.epoch = v.epoch AND (NOT g.asked OR v.wake_at = 0) FOR UPDATE
    ) AS g
), gone AS (
    DELETE FROM holdfast.running WHERE run = ANY (ARRAY(SELECT run FROM held))
), marked AS (
    UPDATE holdfast.runs AS r SET epoch = h.epoch, started_at = coalesce(r.started_at, h.started_at), rescues = 0
    FROM held AS h WHERE r.uid BETWEEN h.run AND h.run
), at_once AS (
    INSERT INTO holdfast.ready (queue, workflow, version, protocol, rank, run, fresh)
    SELECT queue, workflow, version, protocol, rank, run, false FROM held WHERE wake_at = 0
), later AS (
    INSERT INTO holdfast.parked (run, epoch, wake_at, wanted, queue, workflow, version, protocol, rank)
    SELECT run, epoch, wake_at, wanted, queue, workflow, version, protocol, rank FROM held
    WHERE wake_at IS DISTINCT FROM 0
)
SELECT run, epoch FROM held

-- name: find_asked
SELECT v.run, v.epoch, g.asked
FROM (SELECT * FROM unnest($1::bytea[], $2::bigint[]) AS v (run, epoch) ORDER BY run) AS v
CROSS JOIN LATERAL (SELECT g.asked FROM holdfast.running AS g WHERE g.run = v.run AND g.epoch = v.epoch FOR SHARE) AS g

-- A run that is open and was last parked under this epoch: the caller's own park, done before.
-- name: find_parked
SELECT v.run, v.epoch FROM unnest($1::bytea[], $2::bigint[]) AS v (run, epoch)
CROSS JOIN LATERAL (
    SELECT FROM holdfast.runs AS r WHERE r.uid = v.run AND r.epoch = v.epoch AND r.status = 'open' OFFSET 0
) AS r

-- Before a run is held: what is asked of it is read when its lease is locked, which whoever asks locks first.
-- name: lock_leases
SELECT FROM (SELECT * FROM unnest($1::bytea[], $2::bigint[]) AS v (run, epoch) ORDER BY run) AS v
CROSS JOIN LATERAL (SELECT FROM holdfast.running AS g WHERE g.run = v.run AND g.epoch = v.epoch FOR UPDATE) AS g

-- name: find_controls
SELECT v.run, v.epoch, r.control FROM unnest($1::bytea[], $2::bigint[]) AS v (run, epoch)
JOIN holdfast.running AS g ON g.run = v.run AND g.epoch = v.epoch AND g.asked
JOIN holdfast.runs AS r ON r.uid = v.run

-- name: settle
WITH held AS MATERIALIZED (
    SELECT v.* FROM (SELECT * FROM unnest($1::holdfast.settle_row[]) ORDER BY run) AS v
    CROSS JOIN LATERAL (
        SELECT FROM holdfast.running AS g WHERE g.run = v.run AND g.epoch = v.epoch FOR UPDATE
    ) AS g
), gone AS (
    DELETE FROM holdfast.running WHERE run = ANY (ARRAY(SELECT run FROM held))
)
UPDATE holdfast.runs AS r
SET status = h.status, output = h.output, epoch = h.epoch,
    finished_at = CASE WHEN h.status <> 'held' THEN h.finished_at END,
    started_at = coalesce(r.started_at, h.started_at), control = NULL, failed_seq = h.failed_seq
FROM held AS h WHERE r.uid BETWEEN h.run AND h.run
RETURNING h.run, h.epoch

-- name: find_settled
SELECT v.run, v.epoch FROM unnest($1::bytea[], $2::bigint[], $3::text[]) AS v (run, epoch, status)
CROSS JOIN LATERAL (
    SELECT FROM holdfast.runs AS r WHERE r.uid = v.run AND r.epoch = v.epoch AND r.status = v.status OFFSET 0
) AS r

-- name: insert_troubled
INSERT INTO holdfast.troubled (tenant, status, run)
SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[]) AS v (tenant, status, run)
ON CONFLICT DO NOTHING

-- The entries were locked before, so that they stay where they are found. (A range over all three columns
-- would not do here: before PostgreSQL 18 it reads on to the end of the run's entries.)
-- name: satisfy_waits
WITH met AS (
    UPDATE holdfast.journal AS j SET outcome = v.outcome, output = v.output, finished_at = v.finished_at
    FROM unnest($1::holdfast.wait_row[]) AS v
    CROSS JOIN LATERAL (
        SELECT w.ctid AS place FROM holdfast.journal AS w
        WHERE w.run = v.run AND w.position = v.position AND w.generation = v.generation AND w.outcome = 'pending'
        OFFSET 0
    ) AS w
    WHERE j.ctid = w.place
    RETURNING j.run
)
SELECT run, count(*) FROM met GROUP BY run

-- A fan-out's entry counts the children that have not ended; these were locked before, too.
-- name: count_children
WITH counted AS (
    UPDATE holdfast.journal AS j
    SET attempts = j.attempts - v.ended, outcome = CASE WHEN j.attempts > v.ended THEN j.outcome ELSE 'ok' END,
        finished_at = CASE WHEN j.attempts > v.ended THEN j.finished_at ELSE v.finished_at END
    FROM unnest($1::bytea[], $2::bytea[], $3::integer[], $4::integer[], $5::bigint[])
        AS v (run, position, generation, ended, finished_at)
    CROSS JOIN LATERAL (
        SELECT w.ctid AS place FROM holdfast.journal AS w
        WHERE w.run = v.run AND w.position = v.position AND w.generation = v.generation AND w.outcome = 'pending'
        OFFSET 0
    ) AS w
    WHERE j.ctid = w.place
    RETURNING j.run, j.outcome
)
SELECT run, count(*) FROM counted WHERE outcome <> 'pending' GROUP BY run

-- name: lock_parents
SELECT v.run, p.wanted FROM (SELECT run FROM unnest($1::bytea[]) AS v (run) ORDER BY run) AS v
CROSS JOIN LATERAL (SELECT p.wanted FROM holdfast.parked AS p WHERE p.run = v.run AND p.wanted > 0 FOR UPDATE) AS p

-- name: count_down
UPDATE holdfast.parked SET wanted = wanted - ($2::bigint[])[array_position($1::bytea[], run)]
WHERE run = ANY ($1::bytea[])

-- name: wake
WITH gone AS (
    DELETE FROM holdfast.parked WHERE run = ANY ($1::bytea[])
    RETURNING queue, workflow, version, protocol, rank, run
)
INSERT INTO holdfast.ready (queue, workflow, version, protocol, rank, run, fresh)
SELECT queue, workflow, version, protocol, rank, run, false FROM gone
