-- What a person, a parent or a time limit asks of a run. Each verb is a transaction of its own, beside the
-- batches' connection.
--
-- Guarantees: what is asked of a run is either done to it where it stands, or seen by whoever has it next.
-- An open run stands in one of four places: in `running`, `parked`, `ready`, or in its lane's line. A verb
-- locks the run's row and its place before it decides; a run that it finds nowhere is just being moved,
-- and the verb begins again.
-- Locks, in the order of a batch's: the topics of the run's waits, journal entries, `running`, then what a
-- batch locks late: `runs`, `parked`, the lane, `ready`. A run's row in `runs` is locked only after it
-- was looked for in `running`, since whoever parks or settles it locks them in that order.
-- A run that stays ready is deleted there and inserted again: a claim whose snapshot is older than what is
-- asked would else find the old row, and read the run without it.

-- name: read_run
SELECT status, started_at IS NULL AND forked_from IS NULL, parent_uid, parent_position, parent_generation, parent_group
FROM holdfast.runs WHERE uid = $1 AND tenant = $2

-- name: lock_topics
SELECT FROM holdfast.topics WHERE id = ANY (ARRAY(SELECT topic FROM holdfast.waits WHERE run = $1))
ORDER BY id FOR UPDATE

-- Not locked: they change only while the run is held, under the lock on the run.
-- name: find_holds
SELECT position, generation FROM holdfast.journal WHERE run = $1 AND kind = 'hold' AND outcome = 'pending'

-- name: lock_running
SELECT worker FROM holdfast.running WHERE run = $1 FOR UPDATE

-- name: lock_run
SELECT status, generation, control, started_at IS NULL AND forked_from IS NULL AS untouched,
       tenant, queue, workflow, version, protocol, rank, due_at, deadline_at, lane
FROM holdfast.runs WHERE uid = $1 FOR UPDATE

-- Its parent's too, whose wait may be satisfied: after the lane it would be too late.
-- name: lock_parked
SELECT FROM holdfast.parked WHERE run = ANY ($1::bytea[]) ORDER BY run FOR UPDATE

-- name: unpark
DELETE FROM holdfast.parked WHERE run = $1

-- name: lock_lane
SELECT FROM holdfast.lanes WHERE id = $1 FOR UPDATE

-- name: find_in_line
SELECT FROM holdfast.members WHERE lane = $1 AND rank = $2 AND run = $3 AND since IS NULL

-- name: move_member
UPDATE holdfast.members SET rank = $3 WHERE lane = $1 AND rank = $2 AND run = $4

-- name: unready
DELETE FROM holdfast.ready
WHERE queue = $1 AND workflow = $2 AND version = $3 AND protocol = $4 AND rank = $5 AND run = $6

-- name: make_ready
INSERT INTO holdfast.ready (queue, workflow, version, protocol, rank, run, fresh) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: delay
INSERT INTO holdfast.parked (run, epoch, wake_at, wanted, queue, workflow, version, protocol, rank, lane, rate)
VALUES ($1, 0, $2, 0, $3, $4, $5, $6, $7, $8, $9)

-- name: ask
WITH told AS (UPDATE holdfast.running SET asked = true WHERE run = $1)
UPDATE holdfast.runs SET control = $2 WHERE uid = $1

-- name: set_control
UPDATE holdfast.runs SET control = $2 WHERE uid = $1

-- name: hold
WITH kept AS (
    INSERT INTO holdfast.troubled (tenant, status, run) VALUES ($4, 'held', $1) ON CONFLICT DO NOTHING
)
UPDATE holdfast.runs SET status = 'held', output = $3, control = $2 WHERE uid = $1

-- name: open
WITH forgotten AS (
    DELETE FROM holdfast.troubled WHERE tenant = $3 AND status = 'held' AND run = $1
)
UPDATE holdfast.runs SET status = 'open', output = NULL, control = $2 WHERE uid = $1

-- name: resolve_holds
UPDATE holdfast.journal SET outcome = $2, output = $3, finished_at = $4
WHERE run = $1 AND kind = 'hold' AND outcome = 'pending'

-- name: end
WITH forgotten AS (
    DELETE FROM holdfast.troubled WHERE tenant = $4 AND status = 'held' AND run = $1
), kept AS (
    INSERT INTO holdfast.troubled (tenant, status, run) VALUES ($4, 'cancelled', $1) ON CONFLICT DO NOTHING
), deaf AS (
    DELETE FROM holdfast.waits WHERE run = $1
)
UPDATE holdfast.runs SET status = 'cancelled', output = $2, finished_at = $3, control = NULL WHERE uid = $1

-- A run that settles just now forgets its events itself: passed over, since it holds these rows before the
-- run's in `running`.
-- name: forget_fired
DELETE FROM holdfast.waits WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM holdfast.waits WHERE run = $1 AND purpose = 'fired' FOR UPDATE SKIP LOCKED
))

-- name: forget_deadline
DELETE FROM holdfast.deadlines WHERE at = $1 AND run = $2

-- name: asked
SELECT g.run, r.control FROM holdfast.running AS g
CROSS JOIN LATERAL (SELECT control FROM holdfast.runs AS r WHERE r.uid = g.run OFFSET 0) AS r
WHERE g.worker = $1 AND g.asked

-- name: reopen
WITH forgotten AS (
    DELETE FROM holdfast.troubled WHERE tenant = $4 AND status IN ('failed', 'cancelled') AND run = $1
)
UPDATE holdfast.runs
SET status = 'open', generation = generation + 1, cuts = $2, rank = $3, output = NULL, finished_at = NULL,
    control = NULL, failed_seq = NULL, deadline_at = $5, rescues = 0, rescue_seq = 0
WHERE uid = $1

-- name: insert_deadline
INSERT INTO holdfast.deadlines (at, run, tenant) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING

-- A fan-out that still waits counts the children that have not ended.
-- name: count_again
UPDATE holdfast.journal SET attempts = attempts + 1
WHERE run = $1 AND position = $2 AND generation = $3 AND outcome = 'pending'

-- name: insert_edits
INSERT INTO holdfast.journal (run, position, generation, seq, kind, name, outcome, input, output, attempts,
                              started_at, finished_at, epoch)
SELECT * FROM unnest($1::holdfast.checkpoint_row[])
ON CONFLICT DO NOTHING

-- Of an entry that is copied, what its attempts made is too; of one that an edit replaces, nothing is.
-- name: copy_entries
WITH kept AS (
    SELECT * FROM unnest($3::bytea[], $4::integer[]) AS v (position, generation)
), copied AS (
    INSERT INTO holdfast.journal (run, position, generation, seq, kind, name, outcome, input, output, attempts,
                                  started_at, finished_at, epoch)
    SELECT $1, j.position, 1, j.seq, j.kind, j.name, j.outcome, j.input, j.output, j.attempts, j.started_at,
           j.finished_at, 0
    FROM kept CROSS JOIN LATERAL (
        SELECT * FROM holdfast.journal AS j
        WHERE j.run = $2 AND j.position = kept.position AND j.generation = kept.generation AND j.outcome <> 'pending'
        OFFSET 0
    ) AS j
    ON CONFLICT DO NOTHING
    RETURNING position
), used AS (
    INSERT INTO holdfast.blob_uses (run, blob) SELECT $1, u.blob FROM holdfast.blob_uses AS u WHERE u.run = $2
    ON CONFLICT DO NOTHING
)
INSERT INTO holdfast.artifacts (run, position, generation, name, tenant, media_type, size_bytes, sha256, location,
                                content, at)
SELECT $1, a.position, 1, a.name, a.tenant, a.media_type, a.size_bytes, a.sha256, a.location, a.content, a.at
FROM copied JOIN kept USING (position) CROSS JOIN LATERAL (
    SELECT * FROM holdfast.artifacts AS a
    WHERE a.run = $2 AND a.position = kept.position AND a.generation = kept.generation OFFSET 0
) AS a
ON CONFLICT DO NOTHING

-- name: lock_pending
SELECT FROM holdfast.journal WHERE run = $1 AND outcome = 'pending' ORDER BY position, generation FOR UPDATE

-- name: lock_lease
SELECT claimed_at FROM holdfast.running WHERE run = $1 AND epoch = $2 FOR UPDATE

-- The run's own new beginning, done before.
-- name: find_continued
SELECT FROM holdfast.runs WHERE uid = $1 AND epoch = $2 AND status = 'open'

-- name: begin_again
WITH gone AS (
    DELETE FROM holdfast.running WHERE run = $1
), entries AS (
    DELETE FROM holdfast.journal WHERE run = $1
), failures AS (
    DELETE FROM holdfast.attempts WHERE run = $1
), made AS (
    DELETE FROM holdfast.artifacts WHERE run = $1
), deaf AS (
    DELETE FROM holdfast.waits WHERE run = $1 AND purpose = 'wait'
), used AS (
    DELETE FROM holdfast.blob_uses WHERE run = $1 AND blob IS DISTINCT FROM $7::bytea
)
UPDATE holdfast.runs
SET generation = generation + 1, input = $3, cuts = $4, rank = $5, epoch = $2, rescues = 0, rescue_seq = 0,
    started_at = coalesce(started_at, $6)
WHERE uid = $1

-- Whoever tells a run forgets its row; one that is just being told is passed over.
-- name: due_deadlines
WITH due AS MATERIALIZED (
    SELECT d.ctid AS place, d.at, d.run, d.tenant FROM holdfast.deadlines AS d WHERE d.at <= (SELECT holdfast.now_us())
    ORDER BY d.at, d.run LIMIT $1 FOR UPDATE SKIP LOCKED
), seen AS MATERIALIZED (
    SELECT d.*, coalesce(r.open AND r.deadline_at = d.at, false) AS open FROM due AS d LEFT JOIN LATERAL (
        SELECT r.deadline_at, r.status IN ('open', 'held') AND (
                   r.control IS NULL
                   OR convert_from(r.control, 'UTF8')::json ->> 'action' NOT IN ('cancel', 'timeout', 'reject')
               ) AS open
        FROM holdfast.runs AS r WHERE r.uid = d.run OFFSET 0
    ) AS r ON true
), forgotten AS (
    DELETE FROM holdfast.deadlines WHERE ctid = ANY (ARRAY(SELECT place FROM seen WHERE NOT open))
)
SELECT run, tenant FROM seen WHERE open ORDER BY at, run

-- name: fired_watches
WITH fired AS MATERIALIZED (
    SELECT w.ctid AS place, w.run, w.topic FROM holdfast.waits AS w WHERE w.purpose = 'fired'
    ORDER BY w.run LIMIT $1 FOR UPDATE SKIP LOCKED
), seen AS MATERIALIZED (
    SELECT f.*, r.tenant, coalesce(r.open, false) AS open FROM fired AS f LEFT JOIN LATERAL (
        SELECT r.tenant, r.status IN ('open', 'held') AND (
                   r.control IS NULL
                   OR convert_from(r.control, 'UTF8')::json ->> 'action' NOT IN ('cancel', 'timeout', 'reject')
               ) AS open
        FROM holdfast.runs AS r WHERE r.uid = f.run OFFSET 0
    ) AS r ON true
), forgotten AS (
    DELETE FROM holdfast.waits WHERE ctid = ANY (ARRAY(SELECT place FROM seen WHERE NOT open))
)
SELECT s.run, s.tenant, t.name FROM seen AS s
CROSS JOIN LATERAL (SELECT t.name FROM holdfast.topics AS t WHERE t.id = s.topic OFFSET 0) AS t
WHERE s.open ORDER BY s.run
