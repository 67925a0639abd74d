-- What a person, a parent or a time limit asks of a run. Each verb is one BEGIN IMMEDIATE … COMMIT, so that
-- a run is not moved while a verb looks where it stands: no row needs a lock, unlike on PostgreSQL.
--
-- Guarantees: what is asked of a run is either done to it where it stands, or seen by whoever has it next.
-- Whoever tells a run that it is to end forgets the deadline or the event that said so.

-- name: find_run
SELECT r.uid, r.tenant, r.status, r.generation, r.control, r.started_at IS NULL AND r.forked_from IS NULL,
       r.queue, r.workflow, r.version, r.protocol, r.rank, r.due_at, r.deadline_at, r.lane,
       r.parent_uid, r.parent_position, r.parent_generation, r.parent_group, g.worker
FROM runs AS r LEFT JOIN running AS g ON g.run = r.uid WHERE r.uid = ? AND r.tenant = ?

-- name: unpark
DELETE FROM parked WHERE run = ?

-- name: unready
DELETE FROM ready WHERE queue = ? AND workflow = ? AND version = ? AND protocol = ? AND rank = ? AND run = ?

-- Whoever is in line holds no slot that another could get.
-- name: leave_line
DELETE FROM members WHERE run = ? AND since IS NULL

-- name: make_ready
INSERT INTO ready (queue, workflow, version, protocol, rank, run, fresh) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- name: delay
INSERT INTO parked (run, epoch, wake_at, wanted, queue, workflow, version, protocol, rank, lane, rate)
VALUES (?, 0, ?, 0, ?, ?, ?, ?, ?, ?, ?)

-- name: ask
UPDATE running SET asked = 1 WHERE run = ?

-- name: set_control
UPDATE runs SET control = ? WHERE uid = ?

-- name: hold
UPDATE runs SET status = 'held', control = ?, output = ? WHERE uid = ?

-- name: open
UPDATE runs SET status = 'open', control = ?, output = NULL WHERE uid = ?

-- name: end
UPDATE runs SET status = 'cancelled', output = ?, finished_at = ?, control = NULL WHERE uid = ?

-- name: reopen
UPDATE runs SET status = 'open', generation = generation + 1, cuts = ?, rank = ?, output = NULL, finished_at = NULL,
                control = NULL, failed_seq = NULL, deadline_at = ?, rescues = 0, rescue_seq = 0
WHERE uid = ?

-- name: insert_deadline
INSERT INTO deadlines (at, run, tenant) VALUES (?, ?, ?) ON CONFLICT DO NOTHING

-- name: insert_troubled
INSERT INTO troubled (tenant, status, run) VALUES (?, ?, ?) ON CONFLICT DO NOTHING

-- name: delete_troubled
DELETE FROM troubled WHERE tenant = ? AND status = ? AND run = ?

-- name: find_holds
SELECT 1 FROM journal WHERE run = ? AND kind = 'hold' AND outcome = 'pending' LIMIT 1

-- name: resolve_holds
UPDATE journal SET outcome = ?, output = ?, finished_at = ? WHERE run = ? AND kind = 'hold' AND outcome = 'pending'

-- name: forget_waits
DELETE FROM waits WHERE run = ?

-- name: forget_fired
DELETE FROM waits WHERE run = ? AND purpose = 'fired'

-- name: forget_deadline
DELETE FROM deadlines WHERE at = ? AND run = ?

-- name: asked
SELECT g.run, r.control FROM running AS g JOIN runs AS r ON r.uid = g.run WHERE g.worker = ? AND g.asked = 1

-- A fan-out that still waits counts the children that have not ended.
-- name: count_again
UPDATE journal SET attempts = attempts + 1
WHERE run = ? AND position = ? AND generation = ? AND outcome = 'pending'

-- name: insert_edits
INSERT INTO journal (run, position, generation, seq, kind, name, outcome, input, output, attempts,
                     started_at, finished_at, epoch)
VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)

-- What the attempts of entries made that are about to be copied; unlike on PostgreSQL, before they are, so that the
-- journal tells which of them an edit replaces.
-- name: copy_artifacts
INSERT INTO artifacts (run, position, generation, name, tenant, media_type, size_bytes, sha256, location, content, at)
SELECT v.column1, a.position, 1, a.name, a.tenant, a.media_type, a.size_bytes, a.sha256, a.location, a.content, a.at
FROM (VALUES /*rows*/ (?, ?, ?, ?)) AS v
JOIN journal AS j ON j.run = v.column2 AND j.position = v.column3 AND j.generation = v.column4
JOIN artifacts AS a ON a.run = j.run AND a.position = j.position AND a.generation = j.generation
WHERE j.outcome <> 'pending' AND NOT EXISTS (
    SELECT 1 FROM journal AS edit WHERE edit.run = v.column1 AND edit.position = v.column3 AND edit.generation = 1
)
ON CONFLICT DO NOTHING

-- name: copy_entries
INSERT INTO journal (run, position, generation, seq, kind, name, outcome, input, output, attempts,
                     started_at, finished_at, epoch)
SELECT v.column1, j.position, 1, j.seq, j.kind, j.name, j.outcome, j.input, j.output, j.attempts,
       j.started_at, j.finished_at, 0
FROM (VALUES /*rows*/ (?, ?, ?, ?)) AS v
JOIN journal AS j ON j.run = v.column2 AND j.position = v.column3 AND j.generation = v.column4
WHERE j.outcome <> 'pending'
ON CONFLICT DO NOTHING

-- name: find_lease
SELECT r.tenant, g.claimed_at FROM running AS g JOIN runs AS r ON r.uid = g.run WHERE g.run = ? AND g.epoch = ?

-- The run's own new beginning, done before.
-- name: find_continued
SELECT 1 FROM runs WHERE uid = ? AND epoch = ? AND status = 'open'

-- name: delete_running
DELETE FROM running WHERE run = ?

-- name: delete_journal
DELETE FROM journal WHERE run = ?

-- name: delete_attempts
DELETE FROM attempts WHERE run = ?

-- name: delete_artifacts
DELETE FROM artifacts WHERE run = ?

-- name: stop_waiting
DELETE FROM waits WHERE run = ? AND purpose = 'wait'

-- name: begin_again
UPDATE runs SET generation = generation + 1, epoch = ?, input = ?, cuts = ?, rank = ?, rescues = 0, rescue_seq = 0,
                started_at = coalesce(started_at, ?)
WHERE uid = ?

-- name: move_member
UPDATE members SET rank = ? WHERE run = ?

-- name: due_deadlines
SELECT d.run, d.tenant, coalesce(r.status IN ('open', 'held') AND r.deadline_at = d.at, 0), r.control, d.at
FROM deadlines AS d LEFT JOIN runs AS r ON r.uid = d.run
WHERE d.at <= (SELECT holdfast_now_us() + offset_us FROM clock) ORDER BY d.at, d.run LIMIT ?

-- name: fired_watches
SELECT w.run, r.tenant, coalesce(r.status IN ('open', 'held'), 0), r.control, t.name
FROM waits AS w LEFT JOIN runs AS r ON r.uid = w.run LEFT JOIN topics AS t ON t.id = w.topic
WHERE w.purpose = 'fired' ORDER BY w.run LIMIT ?
