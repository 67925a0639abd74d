-- Limits, pauses, and what workers serve. What is set holds for the next claim.

-- name: queues
SELECT name, total, per_worker, paused, per_key FROM queues ORDER BY name

-- name: weights
SELECT queue, share, weight FROM queue_weights ORDER BY queue, share

-- name: paused_workflows
SELECT name FROM paused_workflows ORDER BY name

-- name: upsert_queue
INSERT INTO queues (name, total, per_worker, paused, per_key) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (name) DO UPDATE SET
    total = iif(?6, excluded.total, total),
    per_worker = iif(?7, excluded.per_worker, per_worker),
    paused = iif(?8, excluded.paused, paused),
    per_key = iif(?9, excluded.per_key, per_key)

-- name: weigh
INSERT INTO queue_weights (queue, share, weight) VALUES (?, ?, ?)
ON CONFLICT (queue, share) DO UPDATE SET weight = excluded.weight

-- name: unweigh
DELETE FROM queue_weights WHERE queue = ? AND share = ?

-- name: is_counted
SELECT total IS NOT NULL OR per_key IS NOT NULL FROM queues WHERE name = ?

-- What executes from a queue and from its shares, each under its own name.
-- name: count_executing
UPDATE running SET queue = r.queue FROM runs AS r
WHERE r.uid = running.run AND running.queue IS NULL
  AND (r.queue = ?1 OR (r.queue >= ?1 || char(31) AND r.queue < ?1 || char(32)))

-- name: count_no_more
UPDATE running SET queue = NULL WHERE queue = ?1 OR (queue >= ?1 || char(31) AND queue < ?1 || char(32))

-- name: pause_workflow
INSERT INTO paused_workflows (name) VALUES (?) ON CONFLICT DO NOTHING

-- name: resume_workflow
DELETE FROM paused_workflows WHERE name = ?

-- name: unserve
DELETE FROM served WHERE worker = ?

-- A worker that is gone serves nothing.
-- name: serve
INSERT INTO served (worker, queue, workflow, version, protocol)
SELECT w.id, v.column2, v.column3, v.column4, v.column5
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?)) AS v JOIN workers AS w ON w.id = v.column1 WHERE true
ON CONFLICT DO NOTHING
