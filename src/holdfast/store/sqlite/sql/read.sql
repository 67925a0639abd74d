-- Reads. They run on a connection of their own: in WAL mode a reader neither waits for a writer nor
-- holds one up.

-- name: now
SELECT holdfast_now_us() + offset_us FROM clock

-- name: next_due
WITH now AS (SELECT holdfast_now_us() + offset_us AS now_us FROM clock)
SELECT min(at) FROM (
    SELECT min(wake_at) AS at FROM parked, now WHERE wake_at > now_us
    UNION ALL SELECT min(at) FROM deadlines, now WHERE at > now_us
    UNION ALL SELECT min(next_at) FROM schedules, now WHERE next_at > now_us AND paused = 0
    UNION ALL SELECT min(due_at) FROM message_queue, now WHERE due_at > now_us
    UNION ALL SELECT min(act_at) FROM items, now
        WHERE act_at > now_us AND act_at IS NOT NULL AND status IN ('not_started', 'underway', 'snoozed')
)

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

-- name: workflows
SELECT name, version, input_schema FROM workflows ORDER BY name, version

-- name: workers
SELECT w.id, w.host, w.pid, w.protocol, w.started_at, w.beat_at, w.expires_at, coalesce(g.runs, 0),
       w.slots, w.memory_bytes, w.draining
FROM workers AS w LEFT JOIN (SELECT worker, count(*) AS runs FROM running GROUP BY worker) AS g ON g.worker = w.id
ORDER BY w.started_at, w.id

-- name: served
SELECT DISTINCT s.worker, s.queue, s.workflow, s.version FROM workers AS w CROSS JOIN served AS s ON s.worker = w.id
ORDER BY s.worker, s.queue, s.workflow, s.version

-- name: counts
SELECT (SELECT count(*) FROM ready), (SELECT count(*) FROM running), (SELECT count(*) FROM parked)
