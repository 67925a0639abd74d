-- Workers, leases and rescues. Each verb is one BEGIN IMMEDIATE … COMMIT of its own.

-- name: insert_worker
INSERT INTO workers (id, host, pid, protocol, started_at, beat_at, expires_at, slots)
SELECT ?1, ?2, ?3, ?4, now_us, now_us, now_us + ?5, ?6
FROM (SELECT holdfast_now_us() + offset_us AS now_us FROM clock) WHERE true
ON CONFLICT DO NOTHING

-- name: beat
UPDATE workers SET beat_at = ?2, expires_at = ?2 + ?3, memory_bytes = coalesce(?4, memory_bytes)
WHERE id = ?1 AND expires_at > ?2
RETURNING draining

-- In memory nobody else could take a lease: it is left as it is.
-- name: beat_in_memory
UPDATE workers SET memory_bytes = coalesce(?2, memory_bytes) WHERE id = ?1
RETURNING draining

-- name: drain_worker
UPDATE workers SET draining = 1 WHERE id = ?

-- name: expire_worker
UPDATE workers SET expires_at = 0 WHERE id = ?

-- One that signed off has 0.
-- name: keep_lost_workers
INSERT INTO lost_workers (id, host, pid, at) SELECT id, host, pid, expires_at FROM workers
WHERE expires_at > 0 AND expires_at <= (SELECT holdfast_now_us() + offset_us FROM clock)
  AND NOT EXISTS (SELECT 1 FROM running WHERE worker = workers.id)
ON CONFLICT DO NOTHING

-- name: drop_idle_workers
DELETE FROM workers
WHERE expires_at <= (SELECT holdfast_now_us() + offset_us FROM clock)
  AND NOT EXISTS (SELECT 1 FROM running WHERE worker = workers.id)

-- name: drop_served
DELETE FROM served WHERE worker NOT IN (SELECT id FROM workers)

-- name: insert_workflow
INSERT INTO workflows (name, version, input_schema) VALUES (?, ?, ?)
ON CONFLICT (name, version) DO UPDATE SET input_schema = excluded.input_schema
WHERE input_schema <> excluded.input_schema

-- name: lost_runs
SELECT g.run, r.rescues, r.rescue_seq,
       coalesce((SELECT max(j.seq) FROM journal AS j WHERE j.run = g.run), 0),
       r.queue, r.workflow, r.version, r.protocol, r.rank, r.started_at, g.claimed_at
FROM running AS g JOIN runs AS r ON r.uid = g.run
WHERE g.worker IN (SELECT id FROM workers WHERE expires_at <= (SELECT holdfast_now_us() + offset_us FROM clock))
LIMIT ?

-- name: lost_run
SELECT g.run, r.rescues, r.rescue_seq,
       coalesce((SELECT max(j.seq) FROM journal AS j WHERE j.run = g.run), 0),
       r.queue, r.workflow, r.version, r.protocol, r.rank, r.started_at, g.claimed_at
FROM running AS g JOIN runs AS r ON r.uid = g.run WHERE g.run = ? AND g.epoch = ?

-- name: mark_rescued
UPDATE runs SET rescues = ?, rescue_seq = ?, status = ?, output = coalesce(?, output), started_at = ? WHERE uid = ?

-- name: delete_running
DELETE FROM running WHERE run = ?

-- name: insert_ready
INSERT INTO ready (queue, workflow, version, protocol, rank, run, fresh) VALUES (?, ?, ?, ?, ?, ?, 0)

-- name: insert_held
INSERT INTO troubled (tenant, status, run) SELECT tenant, 'held', uid FROM runs WHERE uid = ? ON CONFLICT DO NOTHING
