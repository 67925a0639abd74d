-- Messages as they are published, as they stand in line, and as people change them. All of it runs inside one
-- BEGIN IMMEDIATE … COMMIT, so that nothing else writes meanwhile: no row needs a lock of its own, unlike on PostgreSQL.

-- Guarantees: of a tenant and an id there is one, the first that was published; it gives what was added just now.
-- name: insert_messages
INSERT INTO messages (uid, tenant, id, channel, key, status, verdict, reason, workflow, run, run_id, position,
                      generation, due_at, created_at, ended_at, body, body_digest, text_digest, doubt, attempts, repeats)
SELECT *, 0, 0, 0 FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS v WHERE true
ON CONFLICT DO NOTHING
RETURNING uid

-- Guarantees: the batch that published it counts nothing when it is repeated, nor does one that was counted: they are
-- counted in order of uid.
-- name: count_repeat
UPDATE messages SET repeats = repeats + 1, repeated = :uid
WHERE tenant = :tenant AND id = :id AND uid <> :uid AND (repeated IS NULL OR repeated < :uid)
  AND (run IS NOT :run OR position <> :position OR generation <> :generation OR body_digest <> :body_digest)

-- name: insert_queue
INSERT INTO message_queue (channel, due_at, uid) VALUES /*rows*/ (?, ?, ?)

-- name: drop_queue
DELETE FROM message_queue WHERE channel = ? AND due_at = ? AND uid = ?

-- Guarantees: who finds no line is its head, and may be claimed. It gives those.
-- name: insert_lines
INSERT INTO message_lines (tenant, channel, key, head) VALUES /*rows*/ (?, ?, ?, ?)
ON CONFLICT DO NOTHING
RETURNING head

-- name: insert_place
INSERT INTO message_places (tenant, channel, key, place, uid)
SELECT ?1, ?2, ?3, coalesce(max(place), 0) + 1, ?4 FROM message_places WHERE tenant = ?1 AND channel = ?2 AND key = ?3

-- name: drop_places
DELETE FROM message_places WHERE uid IN (VALUES /*rows*/ (?))

-- Lines whose head is over and behind whom nobody stands; it gives the heads.
-- name: drop_lines
DELETE FROM message_lines WHERE rowid IN (
    SELECT l.rowid FROM (VALUES /*rows*/ (?, ?, ?, ?)) AS v
    JOIN message_lines AS l
        ON l.tenant = v.column1 AND l.channel = v.column2 AND l.key = v.column3 AND l.head = v.column4
    WHERE NOT EXISTS (
        SELECT 1 FROM message_places AS p WHERE p.tenant = l.tenant AND p.channel = l.channel AND p.key = l.key
    )
)
RETURNING head

-- name: next_of_line
SELECT p.place, p.uid FROM message_lines AS l
JOIN message_places AS p ON p.tenant = l.tenant AND p.channel = l.channel AND p.key = l.key
WHERE l.tenant = ? AND l.channel = ? AND l.key = ? AND l.head = ? ORDER BY p.place LIMIT 1

-- name: set_head
UPDATE message_lines SET head = ?4 WHERE tenant = ?1 AND channel = ?2 AND key = ?3

-- name: drop_place
DELETE FROM message_places WHERE tenant = ? AND channel = ? AND key = ? AND place = ?

-- name: queue_again
INSERT INTO message_queue (channel, due_at, uid)
SELECT channel, due_at, uid FROM messages WHERE uid IN (VALUES /*rows*/ (?))

-- name: find_to_change
SELECT uid, id, channel, key, status, verdict, due_at, change_uid FROM messages WHERE tenant = ? AND id = ?

-- Guarantees: it is as if it had just been published.
-- name: send_again
UPDATE messages SET status = 'pending', attempts = 0, doubt = 0, error = NULL, ended_at = NULL, due_at = ?2,
                    approved_by = coalesce(?3, approved_by), body = coalesce(?4, body), change_uid = ?5
WHERE uid = ?1

-- name: discard
UPDATE messages SET status = 'discarded', reason = ?2, ended_at = ?3, change_uid = ?4 WHERE uid = ?1
