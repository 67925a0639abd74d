-- Starts that made no run of their own at once: what is read of them, and what is deleted when it was kept long enough.

-- Each list finds its rows in order, by the index of its first conditions, and looks through them for what else is
-- asked: for a key in the index of its workflow. A plus sign keeps the index of a condition out of it.

-- name: of_id
SELECT tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us,
       number, due_at, NULL, NULL
FROM diversions
WHERE tenant = :tenant AND uid < :before AND id = :id
  AND (:workflow IS NULL OR +workflow = :workflow) AND (:key IS NULL OR key = :key)
  AND (:way IS NULL OR way = :way) AND (:rule IS NULL OR rule = :rule)
  AND (:run IS NULL OR coalesce(+run, CASE way WHEN 'delayed' THEN uid ELSE x'' END) = :run)
  AND (:id IS NULL OR coalesce(+id, lower(hex(uid))) = :id)
ORDER BY uid DESC LIMIT :limit

-- name: of_uid
SELECT tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us,
       number, due_at, NULL, NULL
FROM diversions
WHERE tenant = :tenant AND uid < :before AND uid = :uid
  AND (:workflow IS NULL OR +workflow = :workflow) AND (:key IS NULL OR key = :key)
  AND (:way IS NULL OR way = :way) AND (:rule IS NULL OR rule = :rule)
  AND (:run IS NULL OR coalesce(+run, CASE way WHEN 'delayed' THEN uid ELSE x'' END) = :run)
  AND (:id IS NULL OR coalesce(+id, lower(hex(uid))) = :id)
ORDER BY uid DESC LIMIT :limit

-- name: of_run
SELECT tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us,
       number, due_at, NULL, NULL
FROM diversions
WHERE uid < :before AND +tenant = :tenant AND run = :run
  AND (:workflow IS NULL OR +workflow = :workflow) AND (:key IS NULL OR key = :key)
  AND (:way IS NULL OR way = :way) AND (:rule IS NULL OR rule = :rule)
  AND (:run IS NULL OR coalesce(+run, CASE way WHEN 'delayed' THEN uid ELSE x'' END) = :run)
  AND (:id IS NULL OR coalesce(+id, lower(hex(uid))) = :id)
ORDER BY uid DESC LIMIT :limit

-- name: of_workflow
SELECT tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us,
       number, due_at, NULL, NULL
FROM diversions
WHERE tenant = :tenant AND uid < :before AND workflow = :workflow
  AND (:workflow IS NULL OR +workflow = :workflow) AND (:key IS NULL OR key = :key)
  AND (:way IS NULL OR way = :way) AND (:rule IS NULL OR rule = :rule)
  AND (:run IS NULL OR coalesce(+run, CASE way WHEN 'delayed' THEN uid ELSE x'' END) = :run)
  AND (:id IS NULL OR coalesce(+id, lower(hex(uid))) = :id)
ORDER BY uid DESC LIMIT :limit

-- name: of_tenant
SELECT tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us,
       number, due_at, NULL, NULL
FROM diversions
WHERE tenant = :tenant AND uid < :before
  AND (:workflow IS NULL OR +workflow = :workflow) AND (:key IS NULL OR key = :key)
  AND (:way IS NULL OR way = :way) AND (:rule IS NULL OR rule = :rule)
  AND (:run IS NULL OR coalesce(+run, CASE way WHEN 'delayed' THEN uid ELSE x'' END) = :run)
  AND (:id IS NULL OR coalesce(+id, lower(hex(uid))) = :id)
ORDER BY uid DESC LIMIT :limit

-- name: find
SELECT tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us,
       number, due_at, input, options
FROM diversions WHERE tenant = ? AND uid = ?

-- name: run_of
SELECT uid FROM runs WHERE tenant = ? AND id = ?

-- name: next_tenant
SELECT tenant FROM diversions WHERE tenant > ? ORDER BY tenant LIMIT 1

-- Of a tenant the oldest ones that are old enough, and that no run is to be made of.
-- name: delete_old
DELETE FROM diversions WHERE tenant = ?1 AND uid IN (
    SELECT uid FROM diversions AS d WHERE tenant = ?1 AND uid < ?2
      AND NOT EXISTS (SELECT 1 FROM parked WHERE parked.run = d.run AND gather IS NOT NULL)
    ORDER BY uid LIMIT ?3
)

-- name: limits
SELECT id FROM start_limits WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3

-- name: gathers
SELECT id FROM gathers WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3

-- A limit is over when no start counts any more, and no run waits for it: none that waits is due before it is over, and
-- nothing is deleted while some are due that were not let through.
-- name: delete_limits
DELETE FROM start_limits WHERE id IN (VALUES /*rows*/ (?))
  AND over_at <= (SELECT holdfast_now_us() + offset_us FROM clock)
  AND NOT EXISTS (
    SELECT 1 FROM parked
    WHERE rate IS NOT NULL AND wake_at <= (SELECT holdfast_now_us() + offset_us FROM clock)
  )

-- name: delete_gathers
DELETE FROM gathers WHERE id IN (VALUES /*rows*/ (?))
  AND due_at <= (SELECT holdfast_now_us() + offset_us FROM clock)
  AND NOT EXISTS (SELECT 1 FROM runs WHERE uid = gathers.run AND status IN ('open', 'held'))
