-- What limits and pauses are set, and what workers serve.
--
-- Guarantees: when a queue gets a limit on how many of its runs execute at once, those that execute already
-- count against it, but for what a worker claims in the same moment that does not know the limit yet; it lets
-- that count too as soon as it knows. When the limit goes, nothing is counted any more.
-- Locks: rows of `running` in order of run, then the queue's row: as a batch does, which holds leases before
-- it claims. A worker's row, for what it serves.

-- name: upsert_queue
INSERT INTO holdfast.queues AS q (name, total, per_worker, paused, per_key) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO UPDATE SET
    total = CASE WHEN $6::boolean THEN excluded.total ELSE q.total END,
    per_worker = CASE WHEN $7::boolean THEN excluded.per_worker ELSE q.per_worker END,
    paused = CASE WHEN $8::boolean THEN excluded.paused ELSE q.paused END,
    per_key = CASE WHEN $9::boolean THEN excluded.per_key ELSE q.per_key END

-- name: weigh
INSERT INTO holdfast.queue_weights (queue, share, weight) VALUES ($1, $2, $3)
ON CONFLICT (queue, share) DO UPDATE SET weight = excluded.weight

-- name: unweigh
DELETE FROM holdfast.queue_weights WHERE queue = $1 AND share = $2

-- name: limits
SELECT total, per_key FROM holdfast.queues WHERE name = $1

-- What executes from a queue and from its shares, each under its own name.
-- name: count_executing
WITH executing AS MATERIALIZED (
    SELECT g.run, r.queue FROM holdfast.running AS g
    CROSS JOIN LATERAL (
        SELECT r.queue FROM holdfast.runs AS r
        WHERE r.uid = g.run AND (r.queue = $1 OR (r.queue >= $1 || chr(31) AND r.queue < $1 || chr(32))) OFFSET 0
    ) AS r
    WHERE g.queue IS NULL ORDER BY g.run FOR UPDATE OF g
)
UPDATE holdfast.running AS g SET queue = e.queue FROM executing AS e WHERE g.run BETWEEN e.run AND e.run

-- name: count_no_more
UPDATE holdfast.running SET queue = NULL WHERE run = ANY (ARRAY(
    SELECT run FROM holdfast.running WHERE queue = $1 OR (queue >= $1 || chr(31) AND queue < $1 || chr(32))
    ORDER BY run FOR UPDATE
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
SELECT name, total, per_worker, paused, per_key FROM holdfast.queues ORDER BY name

-- name: weights
SELECT queue, share, weight FROM holdfast.queue_weights ORDER BY queue, share

-- name: paused_workflows
SELECT name FROM holdfast.paused_workflows ORDER BY name
