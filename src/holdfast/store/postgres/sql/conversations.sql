-- Conversations: who has them and who waits, their state and their turns.
--
-- Guarantees: one has a conversation at a time, under a token that rises; a turn is stored with the state that it
-- leads to, under its token, or not at all.
-- Locks: the holds of all conversations of a call, in order of tenant and id, by one statement that also makes those
-- that are missing (as `lock_places` in work_items.sql does). What else there is of a conversation changes under its
-- hold's lock. A turn that is handed over then locks what starts and items lock.
-- What is plain is taken and saved by functions of the schema. Unlike SQLite, what is not plain is read after the holds
-- are locked, then decided in the process (see turn_taking.py), then written.

-- A hold that nobody had yet is made without a ticket.
-- name: lock_holds
INSERT INTO holdfast.turn_holds (tenant, conversation, "user", token, ticket, turn_id, fingerprint, since, until)
SELECT v.tenant, v.conversation, v."user", 0, NULL, '', '', 0, 0
FROM unnest($1::text[], $2::text[], $3::text[]) AS v (tenant, conversation, "user") ORDER BY tenant, conversation
ON CONFLICT (tenant, conversation) DO UPDATE SET token = turn_holds.token WHERE false

-- name: read_holds
SELECT v.i::integer - 1, holdfast.now_us(), h."user", h.token, h.ticket, h.turn_id, h.fingerprint, h.since, h.until,
       c.tenant IS NOT NULL, c.tenant, c.id, c."user", c.definition, c.version, c.status, c.state, c.revision, c.turns,
       c.created_at, c.changed_at, c.expires_at, c.ended_at, c.handover, c.item, c.keep_us
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS v (tenant, conversation, i)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.turn_holds AS h WHERE h.tenant = v.tenant AND h.conversation = v.conversation OFFSET 0
) AS h
LEFT JOIN LATERAL (
    SELECT * FROM holdfast.conversations AS c WHERE c.tenant = v.tenant AND c.id = v.conversation OFFSET 0
) AS c ON true
ORDER BY v.i

-- name: read_lines
SELECT v.i::integer - 1, l.ticket, l.until
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS v (tenant, conversation, i)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.turn_line AS l
    WHERE l.tenant = v.tenant AND l.conversation = v.conversation ORDER BY l.place LIMIT 10000
) AS l
ORDER BY v.i, l.place

-- name: take_turns
SELECT * FROM holdfast.take_turns($1, $2)

-- name: save_turns
SELECT holdfast.save_turns($1, $2, $3)

-- name: recent
SELECT v.i::integer - 1, t.message, t.response
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS v (tenant, conversation, i)
CROSS JOIN LATERAL (
    SELECT t.number, t.message, t.response FROM holdfast.turns AS t
    WHERE t.tenant = v.tenant AND t.conversation = v.conversation ORDER BY t.number DESC LIMIT $3
) AS t
ORDER BY v.i, t.number

-- name: read_turns
SELECT t.tenant, t.conversation, t.number, t.id, t.fingerprint, t.actor, t.message, t.response, t.text, t.change,
       t.model, t.input_tokens, t.output_tokens, t.cost, t.waited_us, t.model_us, t.took_us, t.at
FROM unnest($1::text[], $2::text[], $3::text[]) AS v (tenant, conversation, id)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.turns AS t WHERE t.tenant = v.tenant AND t.conversation = v.conversation AND t.id = v.id OFFSET 0
) AS t

-- name: take
UPDATE holdfast.turn_holds AS h SET
    since = CASE WHEN h.token = v.token THEN h.since ELSE v.since END, "user" = v."user", token = v.token,
    ticket = v.ticket, turn_id = v.turn_id, fingerprint = v.fingerprint, until = v.until
FROM unnest($1::holdfast.turn_hold_row[]) AS v
WHERE h.tenant = v.tenant AND h.conversation = v.conversation

-- name: leave_line
DELETE FROM holdfast.turn_line AS l USING unnest($1::text[], $2::text[], $3::bytea[]) AS v (tenant, conversation, ticket)
WHERE l.tenant = v.tenant AND l.conversation = v.conversation AND l.ticket = v.ticket

-- name: clear_line
DELETE FROM holdfast.turn_line AS l USING unnest($1::text[], $2::text[], $3::bytea[]) AS v (tenant, conversation, ticket)
WHERE l.tenant = v.tenant AND l.conversation = v.conversation AND l.until <= $4 AND l.ticket <> v.ticket

-- name: stay_in_line
UPDATE holdfast.turn_line AS l SET until = $4
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS v (tenant, conversation, ticket)
WHERE l.tenant = v.tenant AND l.conversation = v.conversation AND l.ticket = v.ticket

-- name: join_line
INSERT INTO holdfast.turn_line (tenant, conversation, place, ticket, until)
SELECT v.tenant, v.conversation, l.place, v.ticket, $4
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS v (tenant, conversation, ticket)
CROSS JOIN LATERAL (
    SELECT coalesce(max(l.place), 0) + 1 AS place, coalesce(bool_or(l.ticket = v.ticket), false) AS there
    FROM holdfast.turn_line AS l WHERE l.tenant = v.tenant AND l.conversation = v.conversation OFFSET 0
) AS l
WHERE NOT l.there

-- name: renew
UPDATE holdfast.turn_holds AS h SET until = (SELECT holdfast.now_us()) + $4
FROM (
    SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[]) WITH ORDINALITY AS v (tenant, conversation, ticket, i)
    ORDER BY tenant, conversation
) AS v
WHERE h.tenant = v.tenant AND h.conversation = v.conversation AND h.ticket = v.ticket
  AND h.until > (SELECT holdfast.now_us())
RETURNING v.i::integer - 1

-- name: leave
UPDATE holdfast.turn_holds AS h SET ticket = NULL
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS v (tenant, conversation, ticket)
WHERE h.tenant = v.tenant AND h.conversation = v.conversation AND h.ticket = v.ticket

-- Who had a conversation that was never saved is forgotten; so is that one was asked for that nobody had.
-- name: drop_holds
DELETE FROM holdfast.turn_holds AS h USING unnest($1::text[], $2::text[]) AS v (tenant, conversation)
WHERE h.tenant = v.tenant AND h.conversation = v.conversation AND h.ticket IS NULL AND NOT EXISTS (
    SELECT FROM holdfast.conversations AS c WHERE c.tenant = v.tenant AND c.id = v.conversation
) AND NOT EXISTS (
    SELECT FROM holdfast.turn_line AS l WHERE l.tenant = v.tenant AND l.conversation = v.conversation
)

-- name: find
SELECT tenant, id, "user", definition, version, status, state, revision, turns, created_at, changed_at, expires_at,
       ended_at, handover, item, keep_us
FROM holdfast.conversations WHERE tenant = $1 AND id = $2

-- name: search
SELECT tenant, id, "user", definition, version, status, state, revision, turns, created_at, changed_at, expires_at,
       ended_at, handover, item, keep_us
FROM holdfast.conversations
WHERE tenant = $1 AND ($2::text IS NULL OR "user" = $2) AND ($3::text IS NULL OR status = $3)
  AND ($4::text IS NULL OR definition = $4) AND ($5::text IS NULL OR item = $5)
  AND ($6 OR expires_at > (SELECT holdfast.now_us())) AND (changed_at, id) < ($7, $8)
ORDER BY changed_at DESC, id DESC LIMIT $9

-- name: turns
SELECT tenant, conversation, number, id, fingerprint, actor, message, response, text, change, model, input_tokens,
       output_tokens, cost, waited_us, model_us, took_us, at
FROM holdfast.turns WHERE tenant = $1 AND conversation = $2 AND number > $3 ORDER BY number LIMIT $4

-- name: settle
UPDATE holdfast.conversations SET handover = NULL WHERE tenant = $1 AND id = $2 AND handover = $3

-- name: unsettled
SELECT tenant, id, "user", definition, version, status, state, revision, turns, created_at, changed_at, expires_at,
       ended_at, handover, item, keep_us
FROM holdfast.conversations WHERE handover IS NOT NULL ORDER BY changed_at LIMIT $1

-- name: gone
SELECT tenant, id FROM holdfast.conversations
WHERE expires_at + keep_us <= (SELECT holdfast.now_us()) AND handover IS NULL ORDER BY expires_at + keep_us LIMIT $1
FOR UPDATE SKIP LOCKED

-- name: delete_turns
DELETE FROM holdfast.turns AS t USING unnest($1::text[], $2::text[]) AS v (tenant, id)
WHERE t.tenant = v.tenant AND t.conversation = v.id

-- name: delete_conversations
DELETE FROM holdfast.conversations AS c USING unnest($1::text[], $2::text[]) AS v (tenant, id)
WHERE c.tenant = v.tenant AND c.id = v.id

-- name: delete_holds
DELETE FROM holdfast.turn_holds AS h USING unnest($1::text[], $2::text[]) AS v (tenant, id)
WHERE h.tenant = v.tenant AND h.conversation = v.id AND h.until <= (SELECT holdfast.now_us())
