-- Retention: what ended long ago is deleted, with all that belongs to it, some runs at a time.
--
-- Guarantees: a run that is not over, is held back by its attribute legal_hold, or whose parent is not over,
-- stays. A topic is deleted only when nobody waits for it and no event is kept for it.
-- Locks: the runs, events and topics that are deleted, with SKIP LOCKED: pruning waits for nobody. What may
-- be deleted is decided once it is locked, by a later statement than the one that locks, which sees what was
-- committed before. A run that is over is reached by nobody but a retry, which locks its row first.
--
-- Rows are found by key, and deleted at the place where they were found.

-- The oldest runs from $1 on, and how long ago they were made and ended, in microseconds.
-- name: oldest
SELECT r.uid, r.workflow, r.status, clock.now_us - r.created_at, clock.now_us - r.finished_at
FROM (SELECT * FROM holdfast.runs WHERE uid > $1 ORDER BY uid LIMIT $2) AS r
CROSS JOIN (SELECT holdfast.now_us() AS now_us OFFSET 0) AS clock
ORDER BY r.uid

-- name: lock_runs
SELECT uid FROM holdfast.runs WHERE uid = ANY ($1::bytea[]) AND status IN ('succeeded', 'failed', 'cancelled')
ORDER BY uid FOR UPDATE SKIP LOCKED

-- name: deletable
SELECT r.uid, r.tenant, r.status, r.deadline_at FROM unnest($1::bytea[]) AS v (run)
CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.uid = v.run OFFSET 0) AS r
LEFT JOIN LATERAL (
    SELECT a.number IS DISTINCT FROM 0 AS held FROM holdfast.attributes AS a
    WHERE a.run = v.run AND a.name = 'legal_hold' OFFSET 0
) AS legal ON true
LEFT JOIN LATERAL (SELECT u.status FROM holdfast.runs AS u WHERE u.uid = r.parent_uid OFFSET 0) AS parent ON true
WHERE NOT coalesce(parent.status IN ('open', 'held'), false) AND NOT coalesce(legal.held, false)

-- name: delete_journal
DELETE FROM holdfast.journal WHERE run = ANY ($1::bytea[])

-- name: delete_attempts
DELETE FROM holdfast.attempts WHERE run = ANY ($1::bytea[])

-- name: delete_attributes
DELETE FROM holdfast.attributes WHERE run = ANY ($1::bytea[])

-- name: delete_progress
DELETE FROM holdfast.progress WHERE run = ANY ($1::bytea[])

-- name: delete_waits
DELETE FROM holdfast.waits WHERE run = ANY ($1::bytea[])

-- Their totals stay.
-- name: delete_model_calls
DELETE FROM holdfast.model_calls WHERE run = ANY ($1::bytea[])

-- name: delete_artifacts
DELETE FROM holdfast.artifacts WHERE run = ANY ($1::bytea[])

-- name: delete_grants
DELETE FROM holdfast.budget_grants WHERE run = ANY ($1::bytea[])

-- name: delete_troubled
DELETE FROM holdfast.troubled WHERE ctid = ANY (ARRAY(
    SELECT t.place FROM unnest($1::text[], $2::text[], $3::bytea[]) AS v (tenant, status, run)
    CROSS JOIN LATERAL (
        SELECT t.ctid AS place FROM holdfast.troubled AS t
        WHERE t.tenant = v.tenant AND t.status = v.status AND t.run = v.run OFFSET 0
    ) AS t
))

-- name: delete_deadlines
DELETE FROM holdfast.deadlines WHERE ctid = ANY (ARRAY(
    SELECT d.place FROM unnest($1::bigint[], $2::bytea[]) AS v (at, run)
    CROSS JOIN LATERAL (
        SELECT d.ctid AS place FROM holdfast.deadlines AS d WHERE d.at = v.at AND d.run = v.run OFFSET 0
    ) AS d
))

-- name: delete_runs
DELETE FROM holdfast.runs WHERE uid = ANY ($1::bytea[])

-- name: delete_events
DELETE FROM holdfast.events WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM holdfast.events WHERE expires_at <= (SELECT holdfast.now_us())
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
))
RETURNING id

-- name: delete_deliveries
DELETE FROM holdfast.deliveries WHERE event = ANY ($1::bytea[])

-- Some topics, from an id on: ids are hashes, so that any part of them is as good as another.
-- name: lock_topics
SELECT id FROM holdfast.topics WHERE id >= $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED

-- name: delete_topics
DELETE FROM holdfast.topics AS t WHERE t.id = ANY ($1::bytea[])
AND NOT EXISTS (SELECT FROM holdfast.waits AS w WHERE w.topic = t.id OFFSET 0)
AND NOT EXISTS (SELECT FROM holdfast.events AS e WHERE e.topic = t.id OFFSET 0)
