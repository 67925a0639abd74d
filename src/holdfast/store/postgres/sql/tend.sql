-- Workers, leases and rescues; each verb is a transaction of its own, on another connection than the batches'.
--
-- Guarantees: an expired lease is never renewed; a lost run is rescued once; a worker is forgotten only
-- when nothing is left under its name.
-- Locks: rows of `running` and `workers` with SKIP LOCKED, so that the open transaction of a frozen
-- worker holds up nothing but its own rows, and those until its idle timeout ends it. A worker that is
-- in the middle of a claim has its row locked and is not deleted.
-- Unlike SQLite, a rescue first locks and then, in the next statement, reads what is to be rescued:
-- what was committed before the lock was had is seen then.

-- name: insert_worker
INSERT INTO holdfast.workers (id, host, pid, protocol, started_at, beat_at, expires_at, slots)
SELECT $1, $2, $3, $4, now_us, now_us, now_us + $5, $6 FROM (SELECT holdfast.now_us() AS now_us OFFSET 0) AS clock
ON CONFLICT DO NOTHING

-- The clock is asked again after a wait for the row.
-- name: beat
UPDATE holdfast.workers
SET beat_at = holdfast.now_us(), expires_at = holdfast.now_us() + $2, memory_bytes = coalesce($3, memory_bytes)
WHERE id = $1 AND expires_at > holdfast.now_us()
RETURNING beat_at, draining

-- name: drain_worker
UPDATE holdfast.workers SET draining = true WHERE id = $1

-- name: now
SELECT holdfast.now_us()

-- name: expire_worker
UPDATE holdfast.workers SET expires_at = 0 WHERE id = $1

-- name: dead_workers
SELECT id FROM holdfast.workers WHERE expires_at <= (SELECT holdfast.now_us())

-- name: lock_dead_workers
SELECT id FROM holdfast.workers WHERE expires_at <= (SELECT holdfast.now_us()) FOR UPDATE SKIP LOCKED

-- name: drop_idle_workers
WITH gone AS (
    DELETE FROM holdfast.workers
    WHERE id = ANY ($1::bytea[]) AND id <> ALL (ARRAY(SELECT worker FROM holdfast.running WHERE worker = ANY ($1::bytea[])))
    RETURNING id, host, pid, expires_at
), lost AS (
    INSERT INTO holdfast.lost_workers (id, host, pid, at)
    SELECT id, host, pid, expires_at FROM gone WHERE expires_at > 0  -- 0: it signed off
    ON CONFLICT DO NOTHING
), served AS (
    DELETE FROM holdfast.served WHERE worker = ANY (ARRAY(SELECT id FROM gone))
)
SELECT count(*) FROM gone

-- name: insert_workflows
INSERT INTO holdfast.workflows (name, version, input_schema)
SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[]) AS v (name, version, input_schema) ORDER BY name, version
ON CONFLICT (name, version) DO UPDATE SET input_schema = excluded.input_schema
WHERE workflows.input_schema <> excluded.input_schema

-- name: lock_lost_runs
SELECT run, claimed_at FROM holdfast.running WHERE worker = ANY ($1::bytea[]) LIMIT $2 FOR UPDATE SKIP LOCKED

-- name: lock_lost_run
SELECT run, claimed_at FROM holdfast.running WHERE run = $1 AND epoch = $2 FOR UPDATE

-- name: read_lost_runs
SELECT v.run, r.rescues, r.rescue_seq,
       coalesce((SELECT max(j.seq) FROM holdfast.journal AS j WHERE j.run = v.run), 0) AS seq,
       coalesce(r.started_at, v.claimed_at) AS started_at
FROM unnest($1::bytea[], $2::bigint[]) AS v (run, claimed_at)
CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.uid = v.run OFFSET 0) AS r

-- name: rescue
WITH lost AS MATERIALIZED (
    SELECT * FROM unnest($1::holdfast.rescue_row[])
), gone AS (
    DELETE FROM holdfast.running WHERE run = ANY (ARRAY(SELECT run FROM lost))
), marked AS (
    UPDATE holdfast.runs AS r
    SET rescues = l.rescues, rescue_seq = l.rescue_seq, status = l.status, output = coalesce(l.output, r.output),
        started_at = l.started_at
    FROM lost AS l WHERE r.uid BETWEEN l.run AND l.run
    RETURNING r.tenant, r.queue, r.workflow, r.version, r.protocol, r.rank, r.uid, l.status
), kept AS (
    INSERT INTO holdfast.troubled (tenant, status, run)
    SELECT tenant, 'held', uid FROM marked WHERE status = 'held' ON CONFLICT DO NOTHING
)
INSERT INTO holdfast.ready (queue, workflow, version, protocol, rank, run, fresh)
SELECT queue, workflow, version, protocol, rank, uid, false FROM marked WHERE status = 'open'
