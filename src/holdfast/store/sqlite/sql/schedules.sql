-- Schedules. A change is stored only on top of the revision that it was made from.

-- name: insert_schedule
INSERT INTO schedules (tenant, name, workflow, definition, input, options, paused, next_at, last_run, revision)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: update_schedule
UPDATE schedules SET workflow = ?3, definition = ?4, input = ?5, options = ?6, paused = ?7, next_at = ?8, last_run = ?9,
                     revision = ?10
WHERE tenant = ?1 AND name = ?2 AND revision = ?10 - 1

-- name: delete_schedule
DELETE FROM schedules WHERE tenant = ? AND name = ?

-- name: schedules
SELECT tenant, name, workflow, definition, input, options, paused, next_at, last_run, revision FROM schedules
WHERE tenant = ?1 AND (?2 IS NULL OR name = ?2) ORDER BY name

-- name: due_schedules
SELECT tenant, name, workflow, definition, input, options, paused, next_at, last_run, revision FROM schedules
WHERE next_at <= (SELECT holdfast_now_us() + offset_us FROM clock) AND next_at IS NOT NULL AND paused = 0
ORDER BY next_at, tenant, name LIMIT ?
