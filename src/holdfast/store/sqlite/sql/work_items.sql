-- Items, their events and their places. `put_items` is one BEGIN IMMEDIATE … COMMIT: unlike on PostgreSQL nobody
-- changes an item or takes a place between a look and a change.
--
-- Guarantees: an item is stored only on top of the revision that it was made from, together with its event; of the
-- items that want a place one has it; an open item whose `blocked` does not fit its links is to be looked at.

-- name: insert_items
INSERT INTO items (
    tenant, uid, id, kind, definition, definition_version, type, weight, title, subject, assignee, pool,
    claimed_until, escalated_to, escalated_at, acknowledge_by, status, priority, snooze_until, snooze_days,
    snoozed_at, returns_at, due_at, act_at, blocked, started_at, completed_at, skipped_at, skip_reason, document,
    data, run, demo, position, created_at, revision, folded
) VALUES /*rows*/ (
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
)
ON CONFLICT DO NOTHING

-- Behind `items`.
-- name: stored
JOIN (VALUES /*rows*/ (?, ?)) AS v ON i.tenant = v.column1 AND i.uid = v.column2

-- Only what changes is set: every index that has a column in it which is set is written anew.
-- name: update_items
UPDATE items SET revision = v.column3/*columns*/
FROM (VALUES /*rows*/ (?, ?, ?/*more*/)) AS v
WHERE tenant = v.column1 AND uid = v.column2 AND revision = v.column3 - 1

-- name: insert_events
INSERT INTO item_events (
    tenant, item, revision, at, actor, move, status, changes, reason, definition, assignee, since_us, batch, demo
) VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- Whoever has a place while its time is not over keeps it. The last placeholder: now.
-- name: take_places
INSERT INTO places (tenant, definition, subject, item, until) VALUES /*rows*/ (?, ?, ?, ?, NULL)
ON CONFLICT (tenant, definition, subject) DO UPDATE SET item = excluded.item, until = NULL
WHERE places.item = excluded.item OR places.until <= ?
RETURNING item

-- name: keep_places
INSERT INTO places (tenant, definition, subject, item, until) VALUES /*rows*/ (?, ?, ?, ?, ?)
ON CONFLICT (tenant, definition, subject) DO UPDATE SET item = excluded.item, until = excluded.until
WHERE places.item = excluded.item OR places.until < excluded.until

-- name: free_places
DELETE FROM places WHERE tenant = ? AND definition = ? AND subject = ? AND item = ?

-- name: find_event
SELECT tenant, item, revision, at, actor, move, status, changes, reason, definition, assignee, since_us, batch, demo
FROM item_events WHERE tenant = ? AND item = ? AND revision = ?

-- name: has_id
SELECT 1 FROM items WHERE tenant = ? AND id = ?

-- name: has_revision
SELECT 1 FROM items WHERE tenant = ? AND uid = ? AND revision = ?

-- name: is_taken
SELECT 1 FROM places
WHERE tenant = ? AND definition = ? AND subject = ? AND item <> ? AND (until IS NULL OR until > ?)

-- name: history
SELECT tenant, item, revision, at, actor, move, status, changes, reason, definition, assignee, since_us, batch, demo
FROM item_events WHERE tenant = ? AND item = ? AND revision > ? ORDER BY revision LIMIT ?

-- name: batch_events
SELECT tenant, item, revision, at, actor, move, status, changes, reason, definition, assignee, since_us, batch, demo
FROM item_events WHERE tenant = ? AND batch = ?

-- name: taken_places
SELECT subject FROM places
WHERE tenant = ? AND definition = ? AND subject > ? AND (until IS NULL OR until > ?) ORDER BY subject LIMIT ?

-- name: demo
SELECT uid, definition, subject FROM items
WHERE tenant = ?1 AND demo = 1 AND (?2 IS NULL OR assignee = ?2)

-- name: delete_items
DELETE FROM items WHERE tenant = ? AND uid IN (VALUES /*rows*/ (?))

-- name: delete_events
DELETE FROM item_events WHERE tenant = ? AND item IN (VALUES /*rows*/ (?))
