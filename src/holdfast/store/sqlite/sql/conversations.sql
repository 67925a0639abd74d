-- Conversations: who has them and who waits, their state and their turns.
--
-- Guarantees: one has a conversation at a time, under a token that rises; a turn is stored with the state that it
-- leads to, under its token, or not at all. What is asked is decided in the process (see turn_taking.py), between the
-- reads and the writes of one transaction, of which there is one at a time.

-- name: now
SELECT holdfast_now_us()

-- All that decides about a conversation, but who stands in line where somebody does, and the turn where it is over.
-- name: look
SELECT EXISTS (SELECT 1 FROM turn_line AS l WHERE l.tenant = ?1 AND l.conversation = ?2),
       EXISTS (SELECT 1 FROM turns AS t WHERE t.tenant = ?1 AND t.conversation = ?2 AND t.id = ?3),
       h.user, h.token, h.ticket, h.turn_id, h.fingerprint, h.since, h.until,
       c.tenant, c.id, c.user, c.definition, c.version, c.status, c.state, c.revision, c.turns, c.created_at,
       c.changed_at, c.expires_at, c.ended_at, c.handover, c.item, c.keep_us
FROM (SELECT 1)
LEFT JOIN turn_holds AS h ON h.tenant = ?1 AND h.conversation = ?2
LEFT JOIN conversations AS c ON c.tenant = ?1 AND c.id = ?2

-- name: hold
SELECT user, token, ticket, turn_id, fingerprint, since, until FROM turn_holds WHERE tenant = ? AND conversation = ?

-- name: line
SELECT ticket, until FROM turn_line WHERE tenant = ? AND conversation = ? ORDER BY place

-- name: take
INSERT INTO turn_holds (tenant, conversation, user, token, ticket, turn_id, fingerprint, since, until)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (tenant, conversation) DO UPDATE SET
    since = CASE WHEN token = ?4 THEN since ELSE ?8 END,
    user = ?3, token = ?4, ticket = ?5, turn_id = ?6, fingerprint = ?7, until = ?9

-- name: leave_line
DELETE FROM turn_line WHERE tenant = ? AND conversation = ? AND ticket = ?

-- name: clear_line
DELETE FROM turn_line WHERE tenant = ? AND conversation = ? AND until <= ? AND ticket <> ?

-- name: stay_in_line
UPDATE turn_line SET until = ?4 WHERE tenant = ?1 AND conversation = ?2 AND ticket = ?3

-- name: join_line
INSERT INTO turn_line (tenant, conversation, place, ticket, until)
SELECT ?1, ?2, coalesce(max(place), 0) + 1, ?3, ?4 FROM turn_line WHERE tenant = ?1 AND conversation = ?2

-- name: renew
UPDATE turn_holds SET until = holdfast_now_us() + ?4
WHERE tenant = ?1 AND conversation = ?2 AND ticket = ?3 AND until > holdfast_now_us()

-- name: leave
UPDATE turn_holds SET ticket = NULL WHERE tenant = ? AND conversation = ? AND ticket = ?

-- Who had a conversation that was never saved is forgotten.
-- name: drop_hold
DELETE FROM turn_holds AS h WHERE tenant = ? AND conversation = ? AND ticket IS NULL AND NOT EXISTS (
    SELECT 1 FROM conversations AS c WHERE c.tenant = h.tenant AND c.id = h.conversation
) AND NOT EXISTS (
    SELECT 1 FROM turn_line AS l WHERE l.tenant = h.tenant AND l.conversation = h.conversation
)

-- name: free
UPDATE turn_holds SET ticket = NULL
WHERE tenant = ? AND conversation = ? AND token = ? AND ticket IS NOT NULL AND until > ?

-- name: insert
INSERT INTO conversations (
    tenant, id, user, definition, version, status, state, revision, turns, created_at, changed_at, expires_at, ended_at,
    handover, item, keep_us
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- name: update
UPDATE conversations SET
    definition = ?4, version = ?5, status = ?6, state = ?7, revision = ?8, turns = ?9, changed_at = ?11,
    expires_at = ?12, ended_at = ?13, handover = ?14, item = ?15, keep_us = ?16
WHERE tenant = ?1 AND id = ?2 AND revision = ?8 - 1

-- name: insert_turn
INSERT INTO turns (
    tenant, conversation, number, id, fingerprint, actor, message, response, text, change, model, input_tokens,
    output_tokens, cost, waited_us, model_us, took_us, at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: find
SELECT tenant, id, user, definition, version, status, state, revision, turns, created_at, changed_at, expires_at,
       ended_at, handover, item, keep_us
FROM conversations WHERE tenant = ? AND id = ?

-- name: search
SELECT tenant, id, user, definition, version, status, state, revision, turns, created_at, changed_at, expires_at,
       ended_at, handover, item, keep_us
FROM conversations
WHERE tenant = :tenant AND (:user IS NULL OR user = :user) AND (:status IS NULL OR status = :status)
  AND (:definition IS NULL OR definition = :definition) AND (:item IS NULL OR item = :item)
  AND (:expired OR expires_at > holdfast_now_us()) AND (changed_at, id) < (:changed_at, :id)
ORDER BY changed_at DESC, id DESC LIMIT :limit

-- name: turn
SELECT tenant, conversation, number, id, fingerprint, actor, message, response, text, change, model, input_tokens,
       output_tokens, cost, waited_us, model_us, took_us, at
FROM turns WHERE tenant = ? AND conversation = ? AND id = ?

-- name: turns
SELECT tenant, conversation, number, id, fingerprint, actor, message, response, text, change, model, input_tokens,
       output_tokens, cost, waited_us, model_us, took_us, at
FROM turns WHERE tenant = ? AND conversation = ? AND number > ? ORDER BY number LIMIT ?

-- name: recent
SELECT message, response FROM turns WHERE tenant = ? AND conversation = ? ORDER BY number DESC LIMIT ?

-- name: settle
UPDATE conversations SET handover = NULL WHERE tenant = ? AND id = ? AND handover = ?

-- name: unsettled
SELECT tenant, id, user, definition, version, status, state, revision, turns, created_at, changed_at, expires_at,
       ended_at, handover, item, keep_us
FROM conversations WHERE handover IS NOT NULL ORDER BY changed_at LIMIT ?

-- name: gone
SELECT tenant, id FROM conversations WHERE expires_at + keep_us <= ? AND handover IS NULL ORDER BY expires_at + keep_us LIMIT ?

-- name: delete_turns
DELETE FROM turns WHERE tenant = ? AND conversation = ?

-- name: delete_conversation
DELETE FROM conversations WHERE tenant = ? AND id = ?

-- name: delete_hold
DELETE FROM turn_holds WHERE tenant = ?1 AND conversation = ?2 AND until <= ?3
