-- What rules of workflows make of starts: limits of a rate, debounces, batches, singletons; and what becomes of runs
-- that collect starts or wait for their limit.
--
-- Guarantees: a start is asked about once, also when its batch is repeated; a run is counted against its limit in the
-- transaction that lets it through to its queue, and only there. Whoever takes a run in `parked` that has a limit or a
-- rule, or merges into it, holds the row of the rule and of the limit.
-- Locks: first of all that a transaction locks, the rows of `gathers` in order of id, then those of `start_limits` in
-- order of id, for its starts and for the runs that it promotes, each by one statement, which also makes those that
-- are missing: the making of a row is waited for as a lock on it is, so it stands in the same order. Unlike on SQLite,
-- what was there is read after locking, by statements of their own, whose snapshot shows what was committed before the
-- lock was had: ids too, since a batch that is repeated may wait for its own first try.

-- A start that has a run of another process give way locks that run's lease, unlike anything else that a batch does:
-- so then the leases of those runs and of all the batch's own are locked together, in order of run.
-- name: lock_running
SELECT FROM (SELECT run FROM unnest($1::bytea[]) AS v (run) ORDER BY run) AS v
CROSS JOIN LATERAL (SELECT FROM holdfast.running AS g WHERE g.run = v.run FOR UPDATE) AS g

-- Runs that have a limit or a rule, and whose time has come; not locked yet.
-- name: peek_due
SELECT run, wake_at, rate, gather FROM holdfast.parked
WHERE (rate IS NOT NULL OR gather IS NOT NULL) AND wake_at >= $2 AND wake_at <= (SELECT holdfast.now_us())
ORDER BY wake_at, run LIMIT $1

-- Ids come as one value, 16 bytes each: an array of them costs the caller more than all the rest.
-- DO UPDATE locks the row that is there, and WHERE false leaves it as it is; what was made comes back.
-- name: lock_gathers
INSERT INTO holdfast.gathers (id, first_at, due_at, items, size_bytes)
SELECT v.id, 0, 0, 0, 0
FROM (SELECT substr($1::bytea, 16 * n + 1, 16) AS id FROM generate_series(0, length($1::bytea) / 16 - 1) AS n) AS v
ORDER BY v.id
ON CONFLICT (id) DO UPDATE SET items = gathers.items WHERE false
RETURNING id

-- name: find_gathers
SELECT g.id, g.run, g.run_id, g.first_at, g.due_at, g.items, g.size_bytes, g.version, g.rate, g.newest
FROM (SELECT substr($1::bytea, 16 * n + 1, 16) AS id FROM generate_series(0, length($1::bytea) / 16 - 1) AS n) AS v
CROSS JOIN LATERAL (SELECT * FROM holdfast.gathers AS g WHERE g.id = v.id OFFSET 0) AS g

-- The limit of one that waits for it is locked too: it may be told to end.
-- name: find_singletons
SELECT v.run, r.status IN ('open', 'held'), p.rate
FROM unnest($1::bytea[]) AS v (run)
CROSS JOIN LATERAL (SELECT r.status FROM holdfast.runs AS r WHERE r.uid = v.run OFFSET 0) AS r
LEFT JOIN LATERAL (SELECT p.rate FROM holdfast.parked AS p WHERE p.run = v.run OFFSET 0) AS p ON true

-- name: lock_limits
INSERT INTO holdfast.start_limits (id, most, period_us, log, planned, over_at)
SELECT v.id, 0, 0, '', '', 0
FROM (SELECT substr($1::bytea, 16 * n + 1, 16) AS id FROM generate_series(0, length($1::bytea) / 16 - 1) AS n) AS v
ORDER BY v.id
ON CONFLICT (id) DO UPDATE SET most = start_limits.most WHERE false
RETURNING id

-- name: find_limits
SELECT l.id, l.most, l.period_us, l.log, l.planned, l.over_at
FROM (SELECT substr($1::bytea, 16 * n + 1, 16) AS id FROM generate_series(0, length($1::bytea) / 16 - 1) AS n) AS v
CROSS JOIN LATERAL (SELECT * FROM holdfast.start_limits AS l WHERE l.id = v.id OFFSET 0) AS l

-- name: now
SELECT holdfast.now_us()

-- What was stored of starts that have uids from one to another.
-- name: find_near
SELECT n.uid FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS v (tenant, first, last)
CROSS JOIN LATERAL (
    SELECT r.uid FROM holdfast.runs AS r WHERE r.uid BETWEEN v.first AND v.last
    UNION ALL SELECT d.uid FROM holdfast.diversions AS d WHERE d.tenant = v.tenant AND d.uid BETWEEN v.first AND v.last
    OFFSET 0
) AS n
LIMIT $4

-- The input of a run that is the caller's own is not sent back.
-- name: find_known
SELECT v.uid, r.uid, r.workflow, CASE WHEN r.uid <> v.uid THEN r.input END
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS v (tenant, id, uid)
CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.tenant = v.tenant AND r.id = v.id OFFSET 0) AS r

-- name: find_diverted
SELECT d.tenant, d.uid, d.id, d.workflow, d.version, d.way, d.rule, d.mode, d.key, d.run, d.run_id, d.most, d.span_us,
       d.number, d.due_at, NULL, NULL
FROM unnest($1::text[], $2::bytea[]) AS v (tenant, uid)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.diversions AS d WHERE d.tenant = v.tenant AND d.uid = v.uid OFFSET 0
) AS d

-- What asked for ids before; of one id the oldest first.
-- name: find_of_ids
SELECT v.uid, d.tenant, d.uid, d.id, d.workflow, d.version, d.way, d.rule, d.mode, d.key, d.run, d.run_id, d.most,
       d.span_us, d.number, d.due_at, NULL, NULL
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS v (tenant, id, uid)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.diversions AS d WHERE d.tenant = v.tenant AND d.id = v.id OFFSET 0
) AS d
ORDER BY d.uid

-- Runs, of which those that are due later come again with where they wait; how many were made.
-- name: insert_runs
WITH new AS (
    INSERT INTO holdfast.runs (uid, tenant, id, workflow, version, protocol, queue, priority, rank, status, generation,
                               rescues, rescue_seq, epoch, input, attributes, created_at, due_at,
                               parent_uid, parent_position, parent_generation, lane, lanes_above, parent_group,
                               deadline_at, forked_from, forked_seq, lane_name, lane_key, lane_slots)
    SELECT uid, tenant, id, workflow, version, protocol, queue, priority, rank, 'open', 1,
           0, 0, 0, input, attributes, created_at, due_at,
           parent_uid, parent_position, parent_generation, lane, lanes_above, parent_group,
           deadline_at, forked_from, forked_seq, lane_name, lane_key, slots
    FROM unnest($1::holdfast.start_row[])
    ON CONFLICT DO NOTHING
    RETURNING uid, queue, workflow, version, protocol, rank, due_at, lane
), at_once AS (
    INSERT INTO holdfast.ready (queue, workflow, version, protocol, rank, run, fresh)
    SELECT queue, workflow, version, protocol, rank, uid, true FROM new WHERE due_at IS NULL AND lane IS NULL
), later AS (
    INSERT INTO holdfast.parked (run, epoch, wake_at, wanted, queue, workflow, version, protocol, rank, lane, rate,
                                 gather)
    SELECT run, 0, wake_at, 0, queue, workflow, version, protocol, rank, lane, rate, gather
    FROM unnest($2::holdfast.parked_row[])
)
SELECT count(*) FROM new

-- name: set_limits
UPDATE holdfast.start_limits AS l
SET most = v.most, period_us = v.period_us, log = v.log, planned = v.planned, over_at = v.over_at
FROM unnest($1::holdfast.limit_row[]) AS v WHERE l.id BETWEEN v.id AND v.id

-- name: set_gathers
UPDATE holdfast.gathers AS g
SET run = v.run, run_id = v.run_id, first_at = v.first_at, due_at = v.due_at, items = v.items, size_bytes = v.size_bytes,
    version = v.version, rate = v.rate, newest = v.newest
FROM unnest($1::holdfast.gather_row[]) AS v WHERE g.id BETWEEN v.id AND v.id

-- Runs take nothing more in.
-- name: end_gathers
UPDATE holdfast.gathers SET version = NULL, rate = NULL, newest = NULL WHERE id = ANY ($1::bytea[])

-- name: insert_diversions
INSERT INTO holdfast.diversions (tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us,
                                 number, due_at, input, options)
SELECT * FROM unnest($1::holdfast.diversion_row[])

-- name: find_items
SELECT d.run, d.input FROM holdfast.diversions AS d WHERE d.run = ANY ($1::bytea[]) AND d.number IS NOT NULL
ORDER BY d.run, d.number

-- name: find_newest
SELECT r.uid, d.input FROM unnest($1::bytea[], $2::bytea[]) AS v (run, newest)
CROSS JOIN LATERAL (SELECT r.uid, r.tenant FROM holdfast.runs AS r WHERE r.uid = v.run OFFSET 0) AS r
CROSS JOIN LATERAL (
    SELECT d.input FROM holdfast.diversions AS d WHERE d.tenant = r.tenant AND d.uid = v.newest OFFSET 0
) AS d

-- name: find_inputs
SELECT r.uid, r.input FROM unnest($1::bytea[]) AS v (uid)
CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.uid = v.uid OFFSET 0) AS r

-- name: set_inputs
UPDATE holdfast.runs AS r SET input = v.input
FROM unnest($1::bytea[], $2::bytea[]) AS v (run, input) WHERE r.uid BETWEEN v.run AND v.run

-- Those that have a lane do not get ready here; they join it later in the batch. A time limit counts from now on, and
-- whoever tells of it finds it only now.
-- name: let_through
WITH gone AS (
    DELETE FROM holdfast.parked WHERE run = ANY ($1::bytea[])
    RETURNING queue, workflow, version, protocol, rank, run, lane
), timed AS (
    UPDATE holdfast.runs AS r SET deadline_at = n.now + r.deadline_at - r.due_at, due_at = n.now
    FROM gone AS g, (SELECT holdfast.now_us() AS now) AS n
    WHERE r.uid BETWEEN g.run AND g.run AND r.deadline_at IS NOT NULL AND r.due_at IS NOT NULL
    RETURNING r.deadline_at, r.uid, r.tenant
), told AS (
    INSERT INTO holdfast.deadlines (at, run, tenant) SELECT deadline_at, uid, tenant FROM timed ON CONFLICT DO NOTHING
), woken AS (
    INSERT INTO holdfast.ready (queue, workflow, version, protocol, rank, run, fresh)
    SELECT queue, workflow, version, protocol, rank, run, true FROM gone WHERE lane IS NULL
)
SELECT lane, rank, run, queue, workflow, version, protocol, true FROM gone

-- name: park_again
UPDATE holdfast.parked AS p SET wake_at = v.wake_at, gather = NULL
FROM unnest($1::bytea[], $2::bigint[]) AS v (run, wake_at) WHERE p.run BETWEEN v.run AND v.run

-- Of the runs that were looked at, those that are still due; one that is just being told something is passed over.
-- name: lock_due
SELECT run, wake_at, rate, gather FROM holdfast.parked
WHERE run = ANY ($1::bytea[]) AND wake_at <= (SELECT holdfast.now_us()) AND (rate IS NOT NULL OR gather IS NOT NULL)
ORDER BY run FOR UPDATE SKIP LOCKED

-- Of a run that no rule lets through any more.
-- name: keep_time
INSERT INTO holdfast.deadlines (at, run, tenant) SELECT deadline_at, uid, tenant FROM holdfast.runs
WHERE uid = $1 AND deadline_at IS NOT NULL ON CONFLICT DO NOTHING

-- name: find_parked
SELECT wake_at, rate, gather FROM holdfast.parked WHERE run = $1 AND (rate IS NOT NULL OR gather IS NOT NULL)

-- name: put_off
UPDATE holdfast.parked AS p SET wake_at = v.wake_at
FROM unnest($1::bytea[], $2::bigint[]) AS v (run, wake_at) WHERE p.run BETWEEN v.run AND v.run

-- name: put_limit
INSERT INTO holdfast.start_limits (id, most, period_us, log, planned, over_at) VALUES ($1, $2, $3, '', '', 0)
ON CONFLICT DO NOTHING
