-- What processes saw end, and the deletion of what is over.
--
-- Guarantees: a call deletes a bounded number of rows of each table, the oldest first, by an index of their age.
-- Locks: the tallies' rows in the order of their key; what is deleted with SKIP LOCKED, so that of processes that
-- tidy at once none waits for the other.

-- name: put
INSERT INTO holdfast.tallies (tenant, span, since, workflow, status, process, runs, waited_us, took_us, waits, tooks)
SELECT * FROM unnest($1::holdfast.tally_row[])
ON CONFLICT (tenant, span, since, workflow, status, process) DO UPDATE
SET runs = excluded.runs, waited_us = excluded.waited_us, took_us = excluded.took_us, waits = excluded.waits,
    tooks = excluded.tooks

-- name: tallies
SELECT tenant, span, since, workflow, status, process, runs, waited_us, took_us, waits, tooks FROM holdfast.tallies
WHERE tenant = $1 AND span = $2 AND since >= $3 AND since < $4 ORDER BY since, workflow, status, process

-- name: tidy_replies
DELETE FROM holdfast.replies WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM holdfast.replies WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
))

-- name: tidy_sessions
DELETE FROM holdfast.sessions WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM holdfast.sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
))

-- name: tidy_failures
DELETE FROM holdfast.failures WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM holdfast.failures WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
))

-- name: tidy_audit
DELETE FROM holdfast.audit WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM holdfast.audit WHERE at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
))

-- name: tidy_lost_workers
DELETE FROM holdfast.lost_workers WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM holdfast.lost_workers WHERE at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
))

-- name: tidy_tallies
DELETE FROM holdfast.tallies WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM holdfast.tallies WHERE span = $1 AND since < $2 ORDER BY since LIMIT $3 FOR UPDATE SKIP LOCKED
))
