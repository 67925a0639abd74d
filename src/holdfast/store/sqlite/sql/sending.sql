-- Messages as they are claimed, settled, handed back and rescued. Each verb is one BEGIN IMMEDIATE … COMMIT.
--
-- Guarantees: a message is in one worker's hands at a time, under one claim; a claim is found by its id; what became of
-- a message is recorded once, by the claim that is in force.

-- name: now
SELECT holdfast_now_us() + offset_us FROM clock

-- name: is_leased
SELECT 1 FROM workers WHERE id = ? AND expires_at > ?

-- name: of_claim
SELECT s.uid FROM message_sends AS s JOIN messages AS m ON m.uid = s.uid WHERE s.claim_id = ? ORDER BY m.due_at, m.uid

-- name: peek
SELECT due_at, uid FROM message_queue WHERE channel = ? AND due_at <= ? ORDER BY due_at, uid LIMIT ?

-- name: drop_taken
DELETE FROM message_queue WHERE channel = ? AND (due_at, uid) <= (?, ?)

-- name: insert_sends
INSERT INTO message_sends (uid, worker, claim_id, channel, resend, claimed_at) VALUES /*rows*/ (?, ?, ?, ?, ?, ?)

-- name: mark_sending
UPDATE messages SET status = 'sending' WHERE uid IN (VALUES /*rows*/ (?))

-- What was decided of the message's workflow counts, else of all, else what is usual.
-- name: read_claimed
SELECT m.uid, m.tenant, m.id, m.channel, m.key, m.verdict,
       coalesce((SELECT s.mode FROM publish_settings AS s WHERE s.tenant = m.tenant AND s.workflow = m.workflow),
                (SELECT s.mode FROM publish_settings AS s WHERE s.tenant = m.tenant AND s.workflow = ''), 'draft'),
       m.approved_by IS NOT NULL, m.reason, m.body, m.workflow, m.run_id, m.attempts + 1, m.created_at
FROM (VALUES /*rows*/ (?)) AS v JOIN messages AS m ON m.uid = v.column1 ORDER BY m.due_at, m.uid

-- name: held
SELECT s.uid, s.claim_id, m.tenant, m.channel, m.key
FROM (VALUES /*rows*/ (?, ?)) AS v JOIN message_sends AS s ON s.uid = v.column1 AND s.claim_id = v.column2
JOIN messages AS m ON m.uid = s.uid

-- name: in_doubt
SELECT m.uid, v.column2, m.tenant, m.channel, m.key
FROM (VALUES /*rows*/ (?, ?)) AS v JOIN messages AS m ON m.uid = v.column1 WHERE m.status = 'dead' AND m.doubt

-- name: was_settled
SELECT 1 FROM messages WHERE uid = ? AND claim_id = ?

-- name: drop_sends
DELETE FROM message_sends WHERE uid IN (VALUES /*rows*/ (?))

-- name: end_messages
UPDATE messages SET
    status = v.column3, attempts = messages.attempts + (v.column4 IS NOT NULL),
    error = CASE WHEN v.column3 IN ('failed', 'dead') THEN v.column5 END,
    reason = CASE WHEN v.column3 = 'withheld' AND messages.reason = '' THEN v.column5 ELSE messages.reason END,
    doubt = v.column7 OR (messages.doubt AND v.column3 <> 'sent'),
    due_at = coalesce(v.column6, messages.due_at),
    ended_at = CASE WHEN v.column3 <> 'failed' THEN v.column9 END, claim_id = v.column2
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?)) AS v WHERE messages.uid = v.column1

-- name: insert_attempts
INSERT INTO message_attempts (uid, number, tenant, attempt, outcome, detail, doubt, began_at, ended_at)
SELECT m.uid, coalesce((SELECT max(a.number) FROM message_attempts AS a WHERE a.uid = m.uid), 0) + 1, m.tenant,
       m.attempts, v.column2, v.column3, v.column4, v.column5, v.column6
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?)) AS v JOIN messages AS m ON m.uid = v.column1

-- name: hand_back
DELETE FROM message_sends WHERE claim_id IN (VALUES /*rows*/ (?)) RETURNING uid

-- name: mark_ready
UPDATE messages SET status = CASE WHEN attempts > 0 THEN 'failed' ELSE 'pending' END WHERE uid IN (VALUES /*rows*/ (?))

-- name: lost
SELECT uid, resend, claimed_at FROM message_sends AS s
WHERE NOT EXISTS (SELECT 1 FROM workers AS w WHERE w.id = s.worker AND w.expires_at > ?) LIMIT ?
