-- What rules of workflows make of starts: limits of a rate, debounces, batches, singletons; and what becomes of runs
-- that collect starts or wait for their limit. All of it runs inside the caller's transaction, which nothing else
-- writes beside: no row needs a lock of its own, unlike on PostgreSQL.
--
-- Guarantees: a start is asked about once, also when its batch is repeated; a run is counted against its limit in the
-- transaction that lets it through to its queue, and only there. A run that collects has its row in `gathers`, which
-- says when it is due: where it is parked says only when that is looked at.

-- What was stored of starts that have uids from one to another.
-- name: find_near
SELECT uid FROM runs WHERE uid BETWEEN ?1 AND ?2
UNION ALL SELECT uid FROM diversions WHERE tenant = ?3 AND uid BETWEEN ?1 AND ?2
LIMIT ?4

-- name: find_known
SELECT v.column3, r.uid, r.workflow, r.input FROM (VALUES /*rows*/ (?, ?, ?)) AS v
JOIN runs AS r ON r.tenant = v.column1 AND r.id = v.column2

-- name: find_diverted
SELECT d.tenant, d.uid, d.id, d.workflow, d.version, d.way, d.rule, d.mode, d.key, d.run, d.run_id, d.most, d.span_us,
       d.number, d.due_at, NULL, NULL
FROM (VALUES /*rows*/ (?, ?)) AS v JOIN diversions AS d ON d.tenant = v.column1 AND d.uid = v.column2

-- What asked for ids before; of one id the oldest first.
-- name: find_of_ids
SELECT v.column3, d.tenant, d.uid, d.id, d.workflow, d.version, d.way, d.rule, d.mode, d.key, d.run, d.run_id, d.most,
       d.span_us, d.number, d.due_at, NULL, NULL
FROM (VALUES /*rows*/ (?, ?, ?)) AS v JOIN diversions AS d ON d.tenant = v.column1 AND d.id = v.column2
ORDER BY d.uid

-- name: find_gathers
SELECT g.id, g.run, g.run_id, g.first_at, g.due_at, g.items, g.size_bytes, g.version, g.rate, g.newest
FROM (VALUES /*rows*/ (?)) AS v JOIN gathers AS g ON g.id = v.column1

-- name: find_singletons
SELECT g.id, g.run, g.run_id, coalesce(r.status IN ('open', 'held'), 0)
FROM (VALUES /*rows*/ (?)) AS v JOIN gathers AS g ON g.id = v.column1 LEFT JOIN runs AS r ON r.uid = g.run

-- name: find_limits
SELECT l.id, l.most, l.period_us, l.log, l.planned, l.over_at FROM (VALUES /*rows*/ (?)) AS v
JOIN start_limits AS l ON l.id = v.column1

-- name: put_limits
INSERT INTO start_limits (id, most, period_us, log, planned, over_at) VALUES /*rows*/ (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET most = excluded.most, period_us = excluded.period_us, log = excluded.log,
                               planned = excluded.planned, over_at = excluded.over_at

-- name: put_gathers
INSERT INTO gathers (id, run, run_id, first_at, due_at, items, size_bytes, version, rate, newest)
VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET run = excluded.run, run_id = excluded.run_id, first_at = excluded.first_at,
                               due_at = excluded.due_at, items = excluded.items, size_bytes = excluded.size_bytes,
                               version = excluded.version, rate = excluded.rate, newest = excluded.newest

-- Runs take nothing more in.
-- name: end_gathers
UPDATE gathers SET version = NULL, rate = NULL, newest = NULL WHERE id IN (VALUES /*rows*/ (?))

-- name: insert_diversions
INSERT INTO diversions (tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us, number,
                        due_at, input, options)
VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: find_inputs
SELECT uid, input FROM runs WHERE uid IN (VALUES /*rows*/ (?))

-- name: find_items
SELECT run, input FROM diversions WHERE run IN (VALUES /*rows*/ (?)) AND number IS NOT NULL ORDER BY run, number

-- name: find_newest
SELECT r.uid, d.input FROM (VALUES /*rows*/ (?, ?)) AS v JOIN runs AS r ON r.uid = v.column1
JOIN diversions AS d ON d.tenant = r.tenant AND d.uid = v.column2

-- name: set_inputs
UPDATE runs SET input = v.column2 FROM (VALUES /*rows*/ (?, ?)) AS v WHERE uid = v.column1

-- name: unpark
DELETE FROM parked WHERE run IN (VALUES /*rows*/ (?))
RETURNING queue, workflow, version, protocol, rank, run, 1, lane

-- Of runs that are let through: a time limit counts from then on, and whoever tells of it finds it only then.
-- name: count_time
UPDATE runs SET deadline_at = v.column2 + deadline_at - due_at, due_at = v.column2
FROM (VALUES /*rows*/ (?, ?)) AS v WHERE uid = v.column1 AND deadline_at IS NOT NULL AND due_at IS NOT NULL
RETURNING deadline_at, uid, tenant

-- Of a run that no rule lets through any more.
-- name: keep_time
INSERT INTO deadlines (at, run, tenant) SELECT deadline_at, uid, tenant FROM runs
WHERE uid = ? AND deadline_at IS NOT NULL ON CONFLICT DO NOTHING

-- name: keep_parked
UPDATE parked SET wake_at = v.column2, gather = NULL FROM (VALUES /*rows*/ (?, ?)) AS v WHERE run = v.column1

-- name: find_parked
SELECT wake_at, rate, gather FROM parked WHERE run = ? AND (rate IS NOT NULL OR gather IS NOT NULL)

-- name: put_limit
INSERT INTO start_limits (id, most, period_us, log, planned, over_at) VALUES (?, ?, ?, x'', x'', 0)
ON CONFLICT (id) DO NOTHING
