-- What rules of workflows make of starts: limits of a rate, debounces, batches, singletons; and what becomes of runs
-- that collect starts or wait for their limit. All of it runs inside the caller's transaction, which nothing else
-- writes beside: no row needs a lock of its own, unlike on PostgreSQL.
--
-- Guarantees: a start is asked about once, also when its batch is repeated; a run is counted against its limit in the
-- transaction that lets it through to its queue, and only there.

-- name: find_known
SELECT v.column3, r.uid, r.workflow, r.input FROM (VALUES /*rows*/ (?, ?, ?)) AS v
JOIN runs AS r ON r.tenant = v.column1 AND r.id = v.column2

-- name: find_diverted
SELECT d.uid, d.way, d.reason, d.run_id, d.due_at, d.run FROM (VALUES /*rows*/ (?, ?)) AS v
JOIN diversions AS d ON d.tenant = v.column1 AND d.uid = v.column2

-- A run that collects is parked and says for which rule.
-- name: find_gathers
SELECT g.id, g.run, g.run_id, g.first_at, g.due_at, g.items, p.version, p.rate
FROM (VALUES /*rows*/ (?)) AS v JOIN gathers AS g ON g.id = v.column1
LEFT JOIN parked AS p ON p.run = g.run AND p.gather = g.id

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
INSERT INTO gathers (id, run, run_id, first_at, due_at, items) VALUES /*rows*/ (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET run = excluded.run, run_id = excluded.run_id, first_at = excluded.first_at,
                               due_at = excluded.due_at, items = excluded.items

-- name: insert_items
INSERT INTO gather_items (run, number, input) VALUES /*rows*/ (?, ?, ?)

-- name: insert_diversions
INSERT INTO diversions (uid, tenant, id, workflow, version, way, rule, key, run_id, reason, input, at, due_at, run,
                        options)
VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: replace_inputs
UPDATE runs SET input = v.column2, due_at = v.column3 FROM (VALUES /*rows*/ (?, ?, ?)) AS v WHERE uid = v.column1

-- name: move_parked
UPDATE parked SET wake_at = v.column2 FROM (VALUES /*rows*/ (?, ?)) AS v WHERE run = v.column1

-- name: find_inputs
SELECT uid, input FROM runs WHERE uid IN (VALUES /*rows*/ (?))

-- name: find_items
SELECT run, input FROM gather_items WHERE run IN (VALUES /*rows*/ (?)) ORDER BY run, number

-- name: delete_items
DELETE FROM gather_items WHERE run IN (VALUES /*rows*/ (?))

-- name: set_inputs
UPDATE runs SET input = v.column2 FROM (VALUES /*rows*/ (?, ?)) AS v WHERE uid = v.column1

-- name: unpark
DELETE FROM parked WHERE run IN (VALUES /*rows*/ (?))
RETURNING queue, workflow, version, protocol, rank, run, 1, lane

-- name: keep_parked
UPDATE parked SET wake_at = v.column2, gather = NULL FROM (VALUES /*rows*/ (?, ?)) AS v WHERE run = v.column1

-- name: find_parked
SELECT wake_at, rate, gather FROM parked WHERE run = ? AND (rate IS NOT NULL OR gather IS NOT NULL)

-- name: put_limit
INSERT INTO start_limits (id, most, period_us, log, planned, over_at) VALUES (?, ?, ?, x'', x'', 0)
ON CONFLICT (id) DO NOTHING
