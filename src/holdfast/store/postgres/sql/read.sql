-- Reads. Each is a read-only transaction on one of a few connections apart from the writer's; it locks
-- nothing, and holds back neither writers nor vacuum for longer than its statement timeout.
-- They give what SQLite's give; keys are looked up through LATERAL, so that a plan made when a table
-- was small stays good when it is large.

-- name: now
SELECT holdfast.now_us()

-- name: journals
SELECT run, position, generation, seq, kind, name, outcome, input, output, attempts, started_at, finished_at
FROM holdfast.journal WHERE run = ANY ($1::bytea[]) ORDER BY run, position, generation

-- name: attempts
SELECT run, position, generation, attempt, name, started_at, finished_at, error, next_attempt_at
FROM holdfast.attempts WHERE run = ANY ($1::bytea[]) ORDER BY run, position, generation, attempt

-- name: waits
SELECT j.run, j.position, j.generation, j.seq, j.kind, j.name, j.outcome, j.input, j.output, j.attempts,
       j.started_at, j.finished_at
FROM unnest($1::bytea[], $2::bytea[], $3::integer[]) AS v (run, position, generation)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.journal AS j
    WHERE j.run = v.run AND j.position = v.position AND j.generation = v.generation AND j.outcome <> 'pending' OFFSET 0
) AS j

-- name: outcomes
SELECT uid, status, output FROM holdfast.runs
WHERE uid = ANY ($1::bytea[]) AND status IN ('succeeded', 'failed', 'cancelled')

-- name: workflows
SELECT name, version, input_schema FROM holdfast.workflows ORDER BY name, version

-- name: workers
SELECT w.id, w.host, w.pid, w.protocol, w.started_at, w.beat_at, w.expires_at, coalesce(g.runs, 0),
       w.slots, w.memory_bytes, w.draining
FROM holdfast.workers AS w
LEFT JOIN (SELECT worker, count(*) AS runs FROM holdfast.running GROUP BY worker) AS g ON g.worker = w.id
ORDER BY w.started_at, w.id

-- name: served
SELECT DISTINCT s.worker, s.queue, s.workflow, s.version FROM holdfast.workers AS w
CROSS JOIN LATERAL (SELECT * FROM holdfast.served AS s WHERE s.worker = w.id OFFSET 0) AS s
ORDER BY s.worker, s.queue, s.workflow, s.version

-- name: counts
SELECT (SELECT count(*) FROM holdfast.ready), (SELECT count(*) FROM holdfast.running),
       (SELECT count(*) FROM holdfast.parked)
