-- Messages as they are claimed, settled, handed back and rescued; each verb is a transaction of its own.
--
-- Guarantees: a message is in one worker's hands at a time, under one claim; a claim is found by its id; only a worker
-- whose lease holds claims; what became of a message is recorded once, by the claim that is in force.
-- Locks: a claim the worker's row, so that a repeated one waits for the first, which may still commit; then what is
-- queued, and the messages, with SKIP LOCKED: a claim waits for nobody else. The others the rows of what is being sent,
-- in order of uid, a rescue with SKIP LOCKED; then what starts lock; then as in messages.sql. Where SQLite takes
-- exactly the messages that are due first, one that another process is at just now is passed over here.
--
-- Rows that were taken from the queue leave dead entries at the beginning of its index until vacuum clears them. So the
-- caller remembers when the last one that it took was due, and searches from there on; see claim.sql. What comes later
-- and is due before that is found when there is room for more, and at intervals.

-- name: begin_claim
SELECT 1 FROM holdfast.workers WHERE id = $1 AND expires_at > holdfast.now_us() FOR UPDATE

-- name: repeat_claim
SELECT m.uid, m.tenant, m.id, m.channel, m.key, m.verdict, coalesce(
           (SELECT o.mode FROM holdfast.publish_settings AS o WHERE o.tenant = m.tenant AND o.workflow = m.workflow),
           (SELECT o.mode FROM holdfast.publish_settings AS o WHERE o.tenant = m.tenant AND o.workflow = ''), 'draft'
       ), m.approved_by IS NOT NULL, m.reason, m.body, m.workflow, m.run_id, m.attempts + 1, m.created_at
FROM holdfast.message_sends AS s
CROSS JOIN LATERAL (SELECT * FROM holdfast.messages AS m WHERE m.uid = s.uid OFFSET 0) AS m
WHERE s.claim_id = $1
ORDER BY m.due_at, m.uid

-- What was decided of the message's workflow counts, else of all, else what is usual. In front of it comes when it was
-- due.
-- name: claim
WITH picked AS MATERIALIZED (
    SELECT q.place, q.due_at AS since, m.*
    FROM (
        SELECT q.ctid AS place, q.due_at, q.uid FROM holdfast.message_queue AS q
        WHERE q.channel = $3 AND q.due_at >= $6 AND q.due_at <= (SELECT holdfast.now_us())
        ORDER BY q.due_at, q.uid LIMIT $4 FOR UPDATE SKIP LOCKED
    ) AS q
    CROSS JOIN LATERAL (
        SELECT uid, tenant, id, channel, key, verdict, approved_by IS NOT NULL AS approved, reason, body, workflow,
               run_id, attempts + 1 AS attempt, created_at
        FROM holdfast.messages AS m WHERE m.uid = q.uid FOR UPDATE SKIP LOCKED
    ) AS m
), gone AS (
    DELETE FROM holdfast.message_queue WHERE ctid = ANY (ARRAY(SELECT place FROM picked))
), taken AS (
    INSERT INTO holdfast.message_sends (uid, worker, claim_id, channel, resend, claimed_at)
    SELECT uid, $1, $2, channel, $5, (SELECT holdfast.now_us()) FROM picked
), marked AS (
    UPDATE holdfast.messages SET status = 'sending' WHERE uid = ANY (ARRAY(SELECT uid FROM picked))
)
SELECT m.since, m.uid, m.tenant, m.id, m.channel, m.key, m.verdict, coalesce(
           (SELECT o.mode FROM holdfast.publish_settings AS o WHERE o.tenant = m.tenant AND o.workflow = m.workflow),
           (SELECT o.mode FROM holdfast.publish_settings AS o WHERE o.tenant = m.tenant AND o.workflow = ''), 'draft'
       ), m.approved, m.reason, m.body, m.workflow, m.run_id, m.attempt, m.created_at
FROM picked AS m ORDER BY m.since, m.uid

-- The claims that are in force, and where their messages stand in line.
-- name: lock_sends
SELECT v.i::integer - 1, m.tenant, m.channel, m.key
FROM (SELECT * FROM unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY AS v (uid, claim_id, i) ORDER BY uid) AS v
CROSS JOIN LATERAL (
    SELECT FROM holdfast.message_sends AS s WHERE s.uid = v.uid AND s.claim_id = v.claim_id FOR UPDATE
) AS s
CROSS JOIN LATERAL (SELECT * FROM holdfast.messages AS m WHERE m.uid = v.uid OFFSET 0) AS m

-- name: in_doubt
SELECT m.tenant, m.channel, m.key, m.uid FROM unnest($1::bytea[]) AS v (uid)
CROSS JOIN LATERAL (SELECT * FROM holdfast.messages AS m WHERE m.uid = v.uid OFFSET 0) AS m
WHERE m.status = 'dead' AND m.doubt

-- name: lock_in_doubt
SELECT m.uid FROM (SELECT uid FROM unnest($1::bytea[]) AS v (uid) ORDER BY uid) AS v
CROSS JOIN LATERAL (
    SELECT m.uid FROM holdfast.messages AS m WHERE m.uid = v.uid AND m.status = 'dead' AND m.doubt FOR UPDATE
) AS m

-- name: was_settled
SELECT v.i::integer - 1 FROM unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY AS v (uid, claim_id, i)
CROSS JOIN LATERAL (
    SELECT FROM holdfast.messages AS m WHERE m.uid = v.uid AND m.claim_id = v.claim_id OFFSET 0
) AS m

-- What became of messages that were being sent; those that are to be tried again are queued.
-- name: end_messages
WITH endings AS MATERIALIZED (
    SELECT * FROM unnest($1::holdfast.message_ending_row[])
), gone AS (
    DELETE FROM holdfast.message_sends WHERE uid = ANY (ARRAY(SELECT uid FROM endings))
), ended AS (
    UPDATE holdfast.messages AS m SET
        status = v.status, attempts = m.attempts + (v.outcome IS NOT NULL)::integer,
        error = CASE WHEN v.status IN ('failed', 'dead') THEN v.detail END,
        reason = CASE WHEN v.status = 'withheld' AND m.reason = '' THEN v.detail ELSE m.reason END,
        doubt = v.doubt OR (m.doubt AND v.status <> 'sent'), due_at = coalesce(v.retry_at, m.due_at),
        ended_at = CASE WHEN v.status <> 'failed' THEN v.ended_at END, claim_id = v.claim_id
    FROM endings AS v WHERE m.uid BETWEEN v.uid AND v.uid
    RETURNING m.uid, m.tenant, m.channel, m.status, m.attempts, m.due_at, v.outcome, v.detail, v.doubt AS in_doubt,
              v.began_at, v.ended_at AS over_at
), told AS (
    INSERT INTO holdfast.message_attempts (uid, number, tenant, attempt, outcome, detail, doubt, began_at, ended_at)
    SELECT e.uid, coalesce((
               SELECT a.number FROM holdfast.message_attempts AS a
               WHERE a.uid = e.uid ORDER BY a.uid DESC, a.number DESC LIMIT 1
           ), 0) + 1, e.tenant, e.attempts, e.outcome, e.detail, e.in_doubt, e.began_at, e.over_at
    FROM ended AS e WHERE e.outcome IS NOT NULL
)
INSERT INTO holdfast.message_queue (channel, due_at, uid)
SELECT channel, due_at, uid FROM ended WHERE status = 'failed'

-- name: lock_claims
SELECT s.uid FROM (
    SELECT s.uid FROM unnest($1::bytea[]) AS v (claim_id)
    CROSS JOIN LATERAL (SELECT s.uid FROM holdfast.message_sends AS s WHERE s.claim_id = v.claim_id OFFSET 0) AS s
    ORDER BY s.uid
) AS v
CROSS JOIN LATERAL (SELECT s.uid FROM holdfast.message_sends AS s WHERE s.uid = v.uid FOR UPDATE) AS s

-- name: hand_back
WITH gone AS (
    DELETE FROM holdfast.message_sends WHERE uid = ANY ($1::bytea[])
), ready AS (
    UPDATE holdfast.messages SET status = CASE WHEN attempts > 0 THEN 'failed' ELSE 'pending' END
    WHERE uid = ANY ($1::bytea[])
    RETURNING channel, due_at, uid
)
INSERT INTO holdfast.message_queue (channel, due_at, uid) SELECT channel, due_at, uid FROM ready

-- name: lock_lost
SELECT s.uid, s.resend, s.claimed_at, holdfast.now_us() FROM holdfast.message_sends AS s
WHERE NOT EXISTS (
    SELECT FROM holdfast.workers AS w WHERE w.id = s.worker AND w.expires_at > (SELECT holdfast.now_us())
)
ORDER BY s.uid LIMIT $1 FOR UPDATE OF s SKIP LOCKED
