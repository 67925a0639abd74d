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

-- name: find_runs
SELECT r.uid, r.tenant, r.id, r.workflow, r.version, r.queue, r.priority,
       CASE WHEN r.status <> 'open' THEN r.status WHEN g.run IS NOT NULL THEN 'running'
            WHEN p.epoch > 0 THEN 'waiting' ELSE 'queued' END,
       r.generation, r.input, r.output, r.attributes, parent.id, r.rescues, g.worker,
       r.created_at, coalesce(r.started_at, g.claimed_at), r.finished_at, coalesce(p.wake_at, r.due_at)
FROM unnest($2::text[]) AS v (id)
CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.tenant = $1 AND r.id = v.id OFFSET 0) AS r
LEFT JOIN LATERAL (SELECT * FROM holdfast.running AS g WHERE g.run = r.uid OFFSET 0) AS g ON true
LEFT JOIN LATERAL (SELECT * FROM holdfast.parked AS p WHERE p.run = r.uid OFFSET 0) AS p ON true
LEFT JOIN LATERAL (SELECT id FROM holdfast.runs AS u WHERE u.uid = r.parent_uid OFFSET 0) AS parent ON true

-- name: list_runs
SELECT r.uid, r.tenant, r.id, r.workflow, r.version, r.queue, r.priority, shown.status,
       r.generation, r.input, r.output, r.attributes, parent.id, r.rescues, g.worker,
       r.created_at, coalesce(r.started_at, g.claimed_at), r.finished_at, coalesce(p.wake_at, r.due_at)
FROM holdfast.runs AS r
LEFT JOIN LATERAL (SELECT * FROM holdfast.running AS g WHERE g.run = r.uid OFFSET 0) AS g ON true
LEFT JOIN LATERAL (SELECT * FROM holdfast.parked AS p WHERE p.run = r.uid OFFSET 0) AS p ON true
LEFT JOIN LATERAL (SELECT id FROM holdfast.runs AS u WHERE u.uid = r.parent_uid OFFSET 0) AS parent ON true
CROSS JOIN LATERAL (
    SELECT CASE WHEN r.status <> 'open' THEN r.status WHEN g.run IS NOT NULL THEN 'running'
                WHEN p.epoch > 0 THEN 'waiting' ELSE 'queued' END AS status
) AS shown
WHERE r.tenant = $1 AND ($2::text IS NULL OR r.workflow = $2) AND ($5::bytea IS NULL OR r.uid < $5)
  AND ($3::text IS NULL OR shown.status = $3)
ORDER BY r.uid DESC LIMIT $4

-- name: workflows
SELECT name, version, input_schema FROM holdfast.workflows ORDER BY name, version

-- name: workers
SELECT w.id, w.host, w.pid, w.protocol, w.started_at, w.beat_at, w.expires_at, coalesce(g.runs, 0)
FROM holdfast.workers AS w
LEFT JOIN (SELECT worker, count(*) AS runs FROM holdfast.running GROUP BY worker) AS g ON g.worker = w.id
ORDER BY w.started_at, w.id

-- name: counts
SELECT (SELECT count(*) FROM holdfast.ready), (SELECT count(*) FROM holdfast.running),
       (SELECT count(*) FROM holdfast.parked)
