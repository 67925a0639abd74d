-- What processes saw end, and the deletion of what is over. Each verb is one BEGIN IMMEDIATE … COMMIT; a call
-- deletes a bounded number of rows of each table, the oldest first, by an index of their age.

-- name: put
INSERT INTO tallies (tenant, span, since, workflow, status, process, runs, waited_us, took_us, waits, tooks)
SELECT * FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS v WHERE true
ON CONFLICT (tenant, span, since, workflow, status, process) DO UPDATE
SET runs = excluded.runs, waited_us = excluded.waited_us, took_us = excluded.took_us, waits = excluded.waits,
    tooks = excluded.tooks

-- name: tallies
SELECT tenant, span, since, workflow, status, process, runs, waited_us, took_us, waits, tooks FROM tallies
WHERE tenant = ? AND span = ? AND since >= ? AND since < ? ORDER BY since, workflow, status, process

-- name: tidy_replies
DELETE FROM replies WHERE (tenant, key) IN (
    SELECT tenant, key FROM replies WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
)

-- name: tidy_sessions
DELETE FROM sessions WHERE digest IN (SELECT digest FROM sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)

-- name: tidy_failures
DELETE FROM failures WHERE key IN (SELECT key FROM failures WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)

-- name: tidy_audit
DELETE FROM audit WHERE (tenant, uid) IN (SELECT tenant, uid FROM audit WHERE at <= ? ORDER BY at LIMIT ?)

-- name: tidy_lost_workers
DELETE FROM lost_workers WHERE id IN (SELECT id FROM lost_workers WHERE at <= ? ORDER BY at LIMIT ?)

-- name: tidy_tallies
DELETE FROM tallies WHERE (tenant, span, since, workflow, status, process) IN (
    SELECT tenant, span, since, workflow, status, process FROM tallies
    WHERE span = ? AND since < ? ORDER BY since LIMIT ?
)
