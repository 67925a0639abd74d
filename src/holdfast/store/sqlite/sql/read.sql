-- Reads. They run on a connection of their own: in WAL mode a reader neither waits for a writer nor
-- holds one up.

-- name: now
SELECT holdfast_now_us() + offset_us FROM clock

-- name: journals
SELECT run, position, generation, seq, kind, name, outcome, input, output, attempts, started_at, finished_at
FROM journal WHERE run IN (VALUES /*rows*/ (?)) ORDER BY run, position, generation

-- name: attempts
SELECT run, position, generation, attempt, name, started_at, finished_at, error, next_attempt_at
FROM attempts WHERE run IN (VALUES /*rows*/ (?)) ORDER BY run, position, generation, attempt

-- name: waits
SELECT j.run, j.position, j.generation, j.seq, j.kind, j.name, j.outcome, j.input, j.output, j.attempts,
       j.started_at, j.finished_at
FROM (VALUES /*rows*/ (?, ?, ?)) AS v
JOIN journal AS j ON j.run = v.column1 AND j.position = v.column2 AND j.generation = v.column3
WHERE j.outcome <> 'pending'

-- name: outcomes
SELECT uid, status, output FROM runs
WHERE uid IN (VALUES /*rows*/ (?)) AND status IN ('succeeded', 'failed', 'cancelled')

-- name: find_runs
SELECT r.uid, r.tenant, r.id, r.workflow, r.version, r.queue, r.priority,
       CASE WHEN r.status <> 'open' THEN r.status WHEN g.run IS NOT NULL THEN 'running'
            WHEN p.run IS NOT NULL AND p.epoch > 0 THEN 'waiting' ELSE 'queued' END,
       r.generation, r.input, r.output, r.attributes, parent.id, r.rescues, g.worker,
       r.created_at, coalesce(r.started_at, g.claimed_at), r.finished_at, coalesce(p.wake_at, r.due_at)
FROM runs AS r
LEFT JOIN running AS g ON g.run = r.uid LEFT JOIN parked AS p ON p.run = r.uid
LEFT JOIN runs AS parent ON parent.uid = r.parent_uid
WHERE r.tenant = ? AND r.id IN (VALUES /*rows*/ (?))

-- name: list_runs
SELECT * FROM (
    SELECT r.uid, r.tenant, r.id, r.workflow, r.version, r.queue, r.priority,
           CASE WHEN r.status <> 'open' THEN r.status WHEN g.run IS NOT NULL THEN 'running'
                WHEN p.run IS NOT NULL AND p.epoch > 0 THEN 'waiting' ELSE 'queued' END AS shown,
           r.generation, r.input, r.output, r.attributes, parent.id, r.rescues, g.worker,
           r.created_at, coalesce(r.started_at, g.claimed_at), r.finished_at, coalesce(p.wake_at, r.due_at)
    FROM runs AS r
    LEFT JOIN running AS g ON g.run = r.uid LEFT JOIN parked AS p ON p.run = r.uid
    LEFT JOIN runs AS parent ON parent.uid = r.parent_uid
    WHERE r.tenant = ?1 AND (?2 IS NULL OR r.workflow = ?2) AND (?5 IS NULL OR r.uid < ?5)
) WHERE ?3 IS NULL OR shown = ?3
ORDER BY uid DESC LIMIT ?4

-- name: workflows
SELECT name, version, input_schema FROM workflows ORDER BY name, version

-- name: workers
SELECT id, host, pid, protocol, started_at, beat_at, expires_at,
       (SELECT count(*) FROM running WHERE worker = workers.id)
FROM workers ORDER BY started_at, id

-- name: counts
SELECT (SELECT count(*) FROM ready), (SELECT count(*) FROM running), (SELECT count(*) FROM parked)
