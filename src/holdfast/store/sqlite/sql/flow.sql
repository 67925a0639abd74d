-- Limits, pauses, and what workers serve. What is set holds for the next claim.

-- name: queues
SELECT name, total, per_worker, paused FROM queues ORDER BY name

-- name: paused_workflows
SELECT name FROM paused_workflows ORDER BY name

-- name: upsert_queue
INSERT INTO queues (name, total, per_worker, paused) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (name) DO UPDATE SET
    total = iif(?5, excluded.total, total),
    per_worker = iif(?6, excluded.per_worker, per_worker),
    paused = iif(?7, excluded.paused, paused)

-- name: count_executing
UPDATE running SET queue = ?1 WHERE EXISTS (SELECT 1 FROM runs WHERE uid = running.run AND queue = ?1)

-- name: count_no_more
UPDATE running SET queue = NULL WHERE queue = ?

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
