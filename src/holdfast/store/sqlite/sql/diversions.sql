-- Starts that made no run of their own at once: what is read of them, and what is deleted when it was kept long enough.

-- Each list finds its rows in order, by the index of its first conditions: a page of many costs no more than one of
-- few. A plus sign keeps the index of a condition out of it.

-- name: of_id
SELECT uid, tenant, id, workflow, version, way, rule, key, run_id, reason, NULL, at, due_at
FROM diversions
WHERE tenant = :tenant AND uid < :before AND id = :id
  AND (:workflow IS NULL OR +workflow = :workflow) AND (:key IS NULL OR +key = :key)
  AND (:way IS NULL OR way = :way) AND (:rule IS NULL OR rule = :rule)
  AND (:run_id IS NULL OR +run_id = :run_id) AND (:id IS NULL OR +id = :id)
ORDER BY uid DESC LIMIT :limit

-- name: of_run
SELECT uid, tenant, id, workflow, version, way, rule, key, run_id, reason, NULL, at, due_at
FROM diversions
WHERE tenant = :tenant AND uid < :before AND run_id = :run_id AND run_id <> ''
  AND (:workflow IS NULL OR +workflow = :workflow) AND (:key IS NULL OR +key = :key)
  AND (:way IS NULL OR way = :way) AND (:rule IS NULL OR rule = :rule)
  AND (:run_id IS NULL OR +run_id = :run_id) AND (:id IS NULL OR +id = :id)
ORDER BY uid DESC LIMIT :limit

-- name: of_key
SELECT uid, tenant, id, workflow, version, way, rule, key, run_id, reason, NULL, at, due_at
FROM diversions
WHERE tenant = :tenant AND uid < :before AND key = :key AND key <> ''
  AND (:workflow IS NULL OR +workflow = :workflow) AND (:key IS NULL OR +key = :key)
  AND (:way IS NULL OR way = :way) AND (:rule IS NULL OR rule = :rule)
  AND (:run_id IS NULL OR +run_id = :run_id) AND (:id IS NULL OR +id = :id)
ORDER BY uid DESC LIMIT :limit

-- name: of_workflow
SELECT uid, tenant, id, workflow, version, way, rule, key, run_id, reason, NULL, at, due_at
FROM diversions
WHERE tenant = :tenant AND uid < :before AND workflow = :workflow
  AND (:workflow IS NULL OR +workflow = :workflow) AND (:key IS NULL OR +key = :key)
  AND (:way IS NULL OR way = :way) AND (:rule IS NULL OR rule = :rule)
  AND (:run_id IS NULL OR +run_id = :run_id) AND (:id IS NULL OR +id = :id)
ORDER BY uid DESC LIMIT :limit

-- name: of_tenant
SELECT uid, tenant, id, workflow, version, way, rule, key, run_id, reason, NULL, at, due_at
FROM diversions
WHERE tenant = :tenant AND uid < :before 
  AND (:workflow IS NULL OR +workflow = :workflow) AND (:key IS NULL OR +key = :key)
  AND (:way IS NULL OR way = :way) AND (:rule IS NULL OR rule = :rule)
  AND (:run_id IS NULL OR +run_id = :run_id) AND (:id IS NULL OR +id = :id)
ORDER BY uid DESC LIMIT :limit

-- name: find
SELECT uid, tenant, id, workflow, version, way, rule, key, run_id, reason, input, at, due_at, options
FROM diversions WHERE uid = ? AND tenant = ?

-- Of the oldest rows, those that are old enough.
-- name: delete_old
DELETE FROM diversions WHERE rowid IN (SELECT rowid FROM diversions ORDER BY rowid LIMIT ?2)
  AND at < (SELECT holdfast_now_us() + offset_us FROM clock) - ?1

-- name: limits
SELECT id FROM start_limits WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3

-- name: gathers
SELECT id FROM gathers WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3

-- A limit is over when no start counts any more, and no run waits for it.
-- name: delete_limits
DELETE FROM start_limits WHERE id IN (VALUES /*rows*/ (?))
  AND over_at <= (SELECT holdfast_now_us() + offset_us FROM clock)
  AND NOT EXISTS (SELECT 1 FROM parked WHERE rate = start_limits.id)

-- name: delete_gathers
DELETE FROM gathers WHERE id IN (VALUES /*rows*/ (?))
  AND due_at <= (SELECT holdfast_now_us() + offset_us FROM clock)
  AND NOT EXISTS (SELECT 1 FROM runs WHERE uid = gathers.run AND status IN ('open', 'held'))
