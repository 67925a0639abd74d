-- What limits and pauses are set, and what workers serve.
--
-- Guarantees: when a queue gets a limit on how many of its runs execute at once, those that execute already
-- count against it, but for what a worker claims in the same moment that does not know the limit yet; when
-- the limit goes, nothing is counted any more.
-- Locks: rows of `running` in order of run, then the queue's row: as a batch does, which holds leases before
-- it claims. A worker's row, for what it serves.

-- name: upsert_queue
INSERT INTO holdfast.queues AS q (name, total, per_worker, paused) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET
    total = CASE WHEN $5::boolean THEN excluded.total ELSE q.total END,
    per_worker = CASE WHEN $6::boolean THEN excluded.per_worker ELSE q.per_worker END,
    paused = CASE WHEN $7::boolean THEN excluded.paused ELSE q.paused END

-- name: count_executing
UPDATE holdfast.running SET queue = $1 WHERE run = ANY (ARRAY(
    SELECT g.run FROM holdfast.running AS g
    CROSS JOIN LATERAL (SELECT FROM holdfast.runs AS r WHERE r.uid = g.run AND r.queue = $1 OFFSET 0) AS r
    WHERE g.queue IS NULL ORDER BY g.run FOR UPDATE OF g
))

-- name: count_no_more
UPDATE holdfast.running SET queue = NULL WHERE run = ANY (ARRAY(
    SELECT run FROM holdfast.running WHERE queue = $1 ORDER BY run FOR UPDATE
))

-- name: pause_workflow
INSERT INTO holdfast.paused_workflows (name) VALUES ($1) ON CONFLICT DO NOTHING

-- name: resume_workflow
DELETE FROM holdfast.paused_workflows WHERE name = $1

-- The worker's row is locked, so that it cannot be forgotten between.
-- name: lock_worker
SELECT FROM holdfast.workers WHERE id = $1 FOR UPDATE

-- name: unserve
DELETE FROM holdfast.served WHERE worker = $1

-- name: serve
INSERT INTO holdfast.served (worker, queue, workflow, version, protocol)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::integer[]) ON CONFLICT DO NOTHING

-- name: queues
SELECT name, total, per_worker, paused FROM holdfast.queues ORDER BY name

-- name: paused_workflows
SELECT name FROM holdfast.paused_workflows ORDER BY name
