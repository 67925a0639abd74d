-- Retention: what is set, and the deletion of what was kept long enough. Each call looks at a bounded number of
-- rows, the oldest first. SQLite looks through all of a table for a list of rows that are known by several columns:
-- each is deleted by a key of one column, or by a statement of its own.

-- name: set
INSERT INTO retention (workflow, status, seconds) VALUES (?, ?, ?)
ON CONFLICT (workflow, status) DO UPDATE SET seconds = excluded.seconds

-- name: unset
DELETE FROM retention WHERE workflow = ? AND status = ?

-- name: retention
SELECT workflow, status, seconds FROM retention ORDER BY workflow, status

-- name: oldest
SELECT r.uid, r.workflow, r.status, r.finished_at, r.created_at, r.deadline_at,
       EXISTS (SELECT 1 FROM attributes AS a
               WHERE a.run = r.uid AND a.name = 'legal_hold' AND (a.number IS NULL OR a.number <> 0))
       OR EXISTS (SELECT 1 FROM runs AS parent WHERE parent.uid = r.parent_uid AND parent.status IN ('open', 'held'))
FROM runs AS r WHERE r.uid > ? ORDER BY r.uid LIMIT ?

-- name: delete_runs
DELETE FROM runs WHERE uid IN (VALUES /*rows*/ (?))

-- name: delete_journals
DELETE FROM journal WHERE run IN (VALUES /*rows*/ (?))

-- name: delete_attempts
DELETE FROM attempts WHERE run IN (VALUES /*rows*/ (?))

-- name: delete_attributes
DELETE FROM attributes WHERE run IN (VALUES /*rows*/ (?))

-- name: delete_progress
DELETE FROM progress WHERE run IN (VALUES /*rows*/ (?))

-- name: delete_waits
DELETE FROM waits WHERE run IN (VALUES /*rows*/ (?))

-- Their totals stay.
-- name: delete_model_calls
DELETE FROM model_calls WHERE run IN (VALUES /*rows*/ (?))

-- name: delete_artifacts
DELETE FROM artifacts WHERE run IN (VALUES /*rows*/ (?))

-- name: delete_grants
DELETE FROM budget_grants WHERE run IN (VALUES /*rows*/ (?))

-- name: delete_troubled
DELETE FROM troubled WHERE (tenant, status, run) IN (
    SELECT tenant, status, uid FROM runs WHERE uid IN (VALUES /*rows*/ (?))
)

-- name: delete_deadline
DELETE FROM deadlines WHERE at = ? AND run = ?

-- name: expired
SELECT topic, id FROM events WHERE expires_at <= (SELECT holdfast_now_us() + offset_us FROM clock)
ORDER BY expires_at LIMIT ?

-- name: delete_events
DELETE FROM events WHERE id IN (VALUES /*rows*/ (?))

-- name: delete_deliveries
DELETE FROM deliveries WHERE event IN (VALUES /*rows*/ (?))

-- name: topics
SELECT id FROM topics WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3

-- name: delete_topics
DELETE FROM topics WHERE id IN (VALUES /*rows*/ (?))
  AND NOT EXISTS (SELECT 1 FROM waits WHERE topic = topics.id)
  AND NOT EXISTS (SELECT 1 FROM events WHERE topic = topics.id)

-- name: lanes
SELECT id FROM lanes WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3

-- name: delete_lanes
DELETE FROM lanes WHERE id IN (VALUES /*rows*/ (?))
  AND held = 0 AND NOT EXISTS (SELECT 1 FROM members WHERE lane = lanes.id AND since IS NULL)
