-- The statements of a batch. All of them run inside one BEGIN IMMEDIATE … COMMIT, so that nothing
-- else writes meanwhile: no row needs a lock of its own, unlike on PostgreSQL. Each statement takes
-- many rows at once, since every call into SQLite gives up the interpreter's lock and a busy event
-- loop is slow to hand it back.

-- name: insert_runs
INSERT INTO runs (uid, tenant, id, workflow, version, protocol, queue, priority, rank, status, generation,
                  rescues, rescue_seq, epoch, input, attributes, created_at, due_at,
                  parent_uid, parent_position, parent_generation,
                  lane, lanes_above, parent_group, deadline_at, forked_from, forked_seq,
                  lane_name, lane_key, lane_slots)
SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9, 'open', 1,
       0, 0, 0, column10, column11, column12, column13, column14, column15, column16,
       column18, column19, column20, column21, column22, column23, column24, column25, column26
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS v
WHERE column17 IS NULL OR EXISTS (SELECT 1 FROM running WHERE run = v.column14 AND epoch = v.column17)
ON CONFLICT DO NOTHING

-- Runs of which nothing but the first columns is known, as most are that clients start.
-- name: insert_plain_runs
INSERT INTO runs (uid, tenant, id, workflow, version, protocol, queue, priority, rank, input, attributes, created_at,
                  due_at, status, generation, rescues, rescue_seq, epoch)
VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', 1, 0, 0, 0)
ON CONFLICT DO NOTHING

-- name: insert_deadlines
INSERT INTO deadlines (at, run, tenant) VALUES /*rows*/ (?, ?, ?)

-- name: insert_facts
INSERT INTO attributes (tenant, name, text, number, run) VALUES /*rows*/ (?, ?, ?, ?, ?)

-- name: delete_facts
DELETE FROM attributes WHERE run IN (VALUES /*rows*/ (?))

-- name: insert_ready
INSERT INTO ready (queue, workflow, version, protocol, rank, run, fresh)
VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?)

-- name: insert_parked
INSERT INTO parked (run, epoch, wake_at, wanted, queue, workflow, version, protocol, rank, lane, rate, gather)
VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: find_start
SELECT uid, workflow, input FROM runs WHERE tenant = ? AND id = ?

-- name: insert_checkpoints
INSERT INTO journal (run, position, generation, seq, kind, name, outcome, input, output, attempts,
                     started_at, finished_at, epoch)
SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9, column10,
       column11, column12, column13
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS v
WHERE EXISTS (SELECT 1 FROM running WHERE run = v.column1 AND epoch = v.column13)
ON CONFLICT DO NOTHING

-- name: find_checkpoint
SELECT kind, name, outcome, output, seq, epoch FROM journal WHERE run = ? AND position = ? AND generation = ?

-- name: insert_attempts
INSERT INTO attempts (run, position, generation, attempt, name, started_at, finished_at, error, next_attempt_at)
SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS v
WHERE EXISTS (SELECT 1 FROM running WHERE run = v.column1 AND epoch = v.column10)
ON CONFLICT DO NOTHING

-- name: count_held
SELECT count(*) FROM (VALUES /*rows*/ (?, ?)) AS v JOIN running ON run = v.column1 AND epoch = v.column2

-- name: find_held
SELECT asked FROM running WHERE run = ? AND epoch = ?

-- name: select_held
SELECT run, epoch FROM (VALUES /*rows*/ (?, ?)) AS v JOIN running ON run = v.column1 AND epoch = v.column2

-- name: put_progress
INSERT INTO progress (run, current, total, note, at)
SELECT column1, column3, column4, column5, column6 FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?)) AS v
WHERE EXISTS (SELECT 1 FROM running WHERE run = v.column1 AND epoch = v.column2)
ON CONFLICT (run) DO UPDATE SET current = excluded.current, total = excluded.total, note = excluded.note,
                                at = excluded.at

-- name: set_attributes
UPDATE runs SET attributes = v.column2 FROM (VALUES /*rows*/ (?, ?)) AS v WHERE runs.uid = v.column1

-- name: delete_running
DELETE FROM running WHERE run IN (VALUES /*rows*/ (?))

-- name: mark_parked
UPDATE runs SET epoch = v.column2, started_at = coalesce(runs.started_at, v.column3), rescues = 0
FROM (VALUES /*rows*/ (?, ?, ?)) AS v WHERE runs.uid = v.column1

-- A run that is open and was last parked under this epoch: the caller's own park, done before.
-- name: find_parked
SELECT 1 FROM runs WHERE uid = ? AND epoch = ? AND status = 'open'

-- name: find_outcome
SELECT outcome FROM journal WHERE run = ? AND position = ? AND generation = ?

-- name: settle_runs
UPDATE runs SET status = v.column3, output = v.column4, epoch = v.column2, control = NULL, failed_seq = v.column7,
                finished_at = CASE WHEN v.column3 <> 'held' THEN v.column6 END,
                started_at = coalesce(runs.started_at, v.column5)
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?)) AS v WHERE runs.uid = v.column1

-- What is asked of runs whose worker was told that something is.
-- name: find_controls
SELECT g.run, g.epoch, r.control FROM (VALUES /*rows*/ (?, ?)) AS v
JOIN running AS g ON g.run = v.column1 AND g.epoch = v.column2 AND g.asked = 1 JOIN runs AS r ON r.uid = g.run

-- name: find_settled
SELECT 1 FROM runs WHERE uid = ? AND epoch = ? AND status = ?

-- name: insert_troubled
INSERT INTO troubled (tenant, status, run) VALUES /*rows*/ (?, ?, ?) ON CONFLICT DO NOTHING

-- name: satisfy_waits
UPDATE journal SET outcome = v.column4, output = v.column5, finished_at = v.column6
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?)) AS v
WHERE run = v.column1 AND position = v.column2 AND generation = v.column3 AND outcome = 'pending'
RETURNING run

-- The entry of a fan-out, whose attempts are the children that have not ended.
-- name: satisfy_groups
UPDATE journal SET attempts = journal.attempts - v.column4,
                   outcome = CASE WHEN journal.attempts <= v.column4 THEN 'ok' ELSE 'pending' END,
                   finished_at = CASE WHEN journal.attempts <= v.column4 THEN v.column5 END
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?)) AS v
WHERE run = v.column1 AND position = v.column2 AND generation = v.column3 AND outcome = 'pending'
RETURNING run, outcome

-- name: count_down
UPDATE parked SET wanted = parked.wanted - v.column2
FROM (VALUES /*rows*/ (?, ?)) AS v WHERE parked.run = v.column1 AND parked.wanted > 0
RETURNING run, wanted

-- name: wake_parked
INSERT INTO ready (queue, workflow, version, protocol, rank, run, fresh)
SELECT queue, workflow, version, protocol, rank, run, 0 FROM parked WHERE run IN (VALUES /*rows*/ (?))

-- name: unpark
DELETE FROM parked WHERE run IN (VALUES /*rows*/ (?))

-- name: unpark_due
DELETE FROM parked WHERE run IN (SELECT run FROM parked WHERE wake_at <= ?1 ORDER BY wake_at, run LIMIT ?2)
RETURNING queue, workflow, version, protocol, rank, run, epoch = 0, lane, rate, gather, wake_at

-- name: next_wake
SELECT min(wake_at) FROM parked WHERE wake_at IS NOT NULL
