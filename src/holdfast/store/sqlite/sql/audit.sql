-- Changes that somebody made. They are written at the end of a batch, in its transaction, and never changed.
--
-- A page of them is read from the newest end of an index. Where they are looked for by action, the actions that
-- there are, a few dozen, are found by jumping from one to the next along the index, and of each the newest are
-- read: unlike on PostgreSQL by one statement for each, since a call costs little here.

-- name: insert_audits
INSERT INTO audit (uid, tenant, actor, action, target, detail, at)
VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: newest
SELECT uid, tenant, actor, action, target, detail, at FROM audit
WHERE tenant = ? AND uid < ? ORDER BY uid DESC LIMIT ?

-- name: next_of_action
SELECT action FROM audit WHERE tenant = ? AND action >= ? ORDER BY action LIMIT 1

-- name: of_action
SELECT uid, tenant, actor, action, target, detail, at FROM audit
WHERE tenant = ? AND action = ? AND uid < ? ORDER BY uid DESC LIMIT ?

-- name: next_of_actor
SELECT action FROM audit WHERE tenant = ? AND actor = ? AND action >= ? ORDER BY action LIMIT 1

-- name: of_actor
SELECT uid, tenant, actor, action, target, detail, at FROM audit
WHERE tenant = ? AND actor = ? AND action = ? AND uid < ? ORDER BY uid DESC LIMIT ?

-- name: next_of_target
SELECT action FROM audit WHERE tenant = ? AND target = ? AND action >= ? ORDER BY action LIMIT 1

-- name: of_target
SELECT uid, tenant, actor, action, target, detail, at FROM audit
WHERE tenant = ?1 AND target = ?2 AND action = ?3 AND uid < ?4 AND (?6 IS NULL OR actor = ?6) ORDER BY uid DESC LIMIT ?5
