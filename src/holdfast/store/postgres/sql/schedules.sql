-- Schedules, and for how long runs are kept.
--
-- Guarantees: of several processes that change a schedule at once, one does; the others are told.
-- Locks: the schedule's row.

-- name: insert_schedule
INSERT INTO holdfast.schedules (tenant, name, workflow, definition, input, options, paused, next_at, last_run, revision)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING

-- name: update_schedule
UPDATE holdfast.schedules
SET workflow = $3, definition = $4, input = $5, options = $6, paused = $7, next_at = $8, last_run = $9, revision = $10
WHERE tenant = $1 AND name = $2 AND revision = $10 - 1

-- name: delete_schedule
DELETE FROM holdfast.schedules WHERE tenant = $1 AND name = $2

-- name: schedules
SELECT tenant, name, workflow, definition, input, options, paused, next_at, last_run, revision
FROM holdfast.schedules WHERE tenant = $1 AND ($2::text IS NULL OR name = $2) ORDER BY name

-- name: due_schedules
SELECT tenant, name, workflow, definition, input, options, paused, next_at, last_run, revision
FROM holdfast.schedules WHERE next_at <= (SELECT holdfast.now_us()) AND NOT paused ORDER BY next_at LIMIT $1

-- name: set_retention
INSERT INTO holdfast.retention (workflow, status, seconds) VALUES ($1, $2, $3)
ON CONFLICT (workflow, status) DO UPDATE SET seconds = excluded.seconds

-- name: unset_retention
DELETE FROM holdfast.retention WHERE workflow = $1 AND status = $2

-- name: retention
SELECT workflow, status, seconds FROM holdfast.retention ORDER BY workflow, status
