-- Items as they change: each by itself, on top of the revision that the change was made from, with an event.
--
-- Guarantees: of two that change an item from the same revision one does. Of a definition and a subject one open item
-- has the place. What waits for an item is looked at when that ends. What runs are told is sent with the change.
-- Locks: all items of a call, those that wait for one that ends, and those that a new one waits for, in order of tenant
-- and uid, by one statement; then the places, in order of key, by one statement, which also makes those that are
-- missing; then what events lock (see events.sql). An item that is new is not there to be locked: of two processes that
-- make items of the same ids, in order of id, the second waits, finds that its rows were not made, and does all of it
-- again. So does one that finds an item waiting for one of its own that it has not locked, and one whose new items have
-- other dependencies, done or not, than those under whose locks they were written. Dependencies are changed under their
-- items' locks.
-- Unlike SQLite, everything is read after the items are locked, then decided in the process, then written.

-- name: find_waiting
SELECT v.tenant, l.item FROM unnest($1::text[], $2::bytea[]) AS v (tenant, item)
CROSS JOIN LATERAL (
    SELECT l.item FROM holdfast.item_links AS l
    WHERE l.tenant = v.tenant AND l.on_item = v.item AND l.done_at IS NULL OFFSET 0
) AS l

-- name: find_waited_for
SELECT v.tenant, l.on_item FROM unnest($1::text[], $2::bytea[]) AS v (tenant, item)
CROSS JOIN LATERAL (
    SELECT l.on_item FROM holdfast.item_links AS l
    WHERE l.tenant = v.tenant AND l.item = v.item AND l.on_item IS NOT NULL OFFSET 0
) AS l

-- name: lock_items
SELECT v.i::integer - 1, i.revision
FROM (
    SELECT * FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS v (tenant, uid, i) ORDER BY tenant, uid
) AS v
CROSS JOIN LATERAL (
    SELECT i.revision FROM holdfast.items AS i WHERE i.tenant = v.tenant AND i.uid = v.uid FOR UPDATE
) AS i

-- name: find_events
SELECT e.tenant, e.item, e.revision, e.at, e.actor, e.move, e.status, e.changes, e.reason, e.definition, e.assignee,
       e.since_us, e.batch, e.demo
FROM unnest($1::text[], $2::bytea[], $3::bigint[]) AS v (tenant, item, revision)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.item_events AS e
    WHERE e.tenant = v.tenant AND e.item = v.item AND e.revision = v.revision OFFSET 0
) AS e

-- name: find_ids
SELECT v.tenant, v.id, i.uid FROM unnest($1::text[], $2::text[]) AS v (tenant, id)
CROSS JOIN LATERAL (SELECT i.uid FROM holdfast.items AS i WHERE i.tenant = v.tenant AND i.id = v.id OFFSET 0) AS i

-- DO UPDATE locks the row that is there, and WHERE false leaves it as it is.
-- name: lock_places
INSERT INTO holdfast.places (tenant, definition, subject, item, until)
SELECT * FROM unnest($1::holdfast.place_row[]) ORDER BY tenant, definition, subject
ON CONFLICT (tenant, definition, subject) DO UPDATE SET until = places.until WHERE false
RETURNING tenant, definition, subject

-- name: find_places
SELECT v.tenant, v.definition, v.subject, p.item, p.until
FROM unnest($1::text[], $2::text[], $3::text[]) AS v (tenant, definition, subject)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.places AS p
    WHERE p.tenant = v.tenant AND p.definition = v.definition AND p.subject = v.subject OFFSET 0
) AS p

-- name: set_places
UPDATE holdfast.places AS p SET item = v.item, until = v.until
FROM unnest($1::holdfast.place_row[]) AS v
WHERE p.tenant = v.tenant AND p.definition = v.definition AND p.subject = v.subject

-- name: free_places
DELETE FROM holdfast.places AS p USING unnest($1::text[], $2::text[], $3::text[]) AS v (tenant, definition, subject)
WHERE p.tenant = v.tenant AND p.definition = v.definition AND p.subject = v.subject

-- name: end_links
UPDATE holdfast.item_links AS l SET done_at = v.at
FROM unnest($1::text[], $2::bytea[], $3::bigint[]) AS v (tenant, item, at)
WHERE l.tenant = v.tenant AND l.on_item = v.item AND l.done_at IS NULL
RETURNING l.tenant, l.item, v.at

-- An open item that is blocked and waits for nothing, or the other way round, is to be looked at.
-- name: insert_items
INSERT INTO holdfast.items (
    tenant, uid, id, kind, definition, definition_version, type, weight, title, subject, assignee, pool, claimed_until,
    escalated_to, escalated_at, acknowledge_by, status, priority, snooze_until, snooze_days, snoozed_at, returns_at,
    due_at, act_at, blocked, started_at, completed_at, skipped_at, skip_reason, document, data, run, demo, position,
    created_at, revision, folded
)
SELECT v.tenant, v.uid, v.id, v.kind, v.definition, v.definition_version, v.type, v.weight, v.title, v.subject,
       v.assignee, v.pool, v.claimed_until, v.escalated_to, v.escalated_at, v.acknowledge_by, v.status, v.priority,
       v.snooze_until, v.snooze_days, v.snoozed_at, v.returns_at, v.due_at,
       CASE WHEN v.status IN ('not_started', 'underway', 'snoozed') AND v.blocked <> EXISTS (
           SELECT FROM holdfast.item_links AS l
           WHERE l.tenant = v.tenant AND l.item = v.uid AND l.done_at IS NULL OFFSET 0
       ) THEN least(v.act_at, v.changed_at) ELSE v.act_at END,
       v.blocked, v.started_at, v.completed_at, v.skipped_at, v.skip_reason, v.document, v.data, v.run, v.demo,
       v."position", v.created_at, v.revision, v.folded
FROM unnest($1::holdfast.item_row[]) AS v ORDER BY v.tenant, v.id
ON CONFLICT DO NOTHING

-- name: update_items
UPDATE holdfast.items AS i SET
    definition = v.definition, definition_version = v.definition_version, type = v.type, weight = v.weight,
    title = v.title, subject = v.subject, assignee = v.assignee, pool = v.pool, claimed_until = v.claimed_until,
    escalated_to = v.escalated_to, escalated_at = v.escalated_at, acknowledge_by = v.acknowledge_by,
    status = v.status, priority = v.priority, snooze_until = v.snooze_until, snooze_days = v.snooze_days,
    snoozed_at = v.snoozed_at, returns_at = v.returns_at, due_at = v.due_at,
    act_at = CASE WHEN v.status IN ('not_started', 'underway', 'snoozed') AND v.blocked <> EXISTS (
        SELECT FROM holdfast.item_links AS l WHERE l.tenant = v.tenant AND l.item = v.uid AND l.done_at IS NULL OFFSET 0
    ) THEN least(v.act_at, v.changed_at) ELSE v.act_at END,
    blocked = v.blocked, started_at = v.started_at, completed_at = v.completed_at, skipped_at = v.skipped_at,
    skip_reason = v.skip_reason, document = v.document, data = v.data, run = v.run, demo = v.demo,
    position = v."position", revision = v.revision, folded = v.folded
FROM unnest($1::holdfast.item_row[]) AS v
WHERE i.tenant = v.tenant AND i.uid = v.uid

-- name: insert_item_events
INSERT INTO holdfast.item_events (
    tenant, item, revision, at, actor, move, status, changes, reason, definition, assignee, since_us, batch, demo
)
SELECT * FROM unnest($1::holdfast.item_event_row[])

-- name: look_at
UPDATE holdfast.items AS i SET act_at = v.at
FROM unnest($1::text[], $2::bytea[], $3::bigint[]) AS v (tenant, uid, at)
WHERE i.tenant = v.tenant AND i.uid = v.uid AND i.status IN ('not_started', 'underway', 'snoozed')
  AND (i.act_at IS NULL OR i.act_at > v.at)
  AND i.blocked <> EXISTS (
      SELECT FROM holdfast.item_links AS l WHERE l.tenant = i.tenant AND l.item = i.uid AND l.done_at IS NULL OFFSET 0
  )

-- name: item_history
SELECT tenant, item, revision, at, actor, move, status, changes, reason, definition, assignee, since_us, batch, demo
FROM holdfast.item_events WHERE tenant = $1 AND item = $2 AND revision > $3 ORDER BY revision LIMIT $4

-- name: batch_events
SELECT tenant, item, revision, at, actor, move, status, changes, reason, definition, assignee, since_us, batch, demo
FROM holdfast.item_events WHERE tenant = $1 AND batch = $2

-- name: taken_places
SELECT subject FROM holdfast.places
WHERE tenant = $1 AND definition = $2 AND subject > $4 AND (until IS NULL OR until > $3) ORDER BY subject LIMIT $5

-- A demo item's dependents are looked at, as if it had ended; then it, its history, place and dependencies go.
-- name: find_demo
SELECT tenant, uid FROM holdfast.items AS i
WHERE i.tenant = $1 AND i.demo AND ($2::text IS NULL OR i.assignee = $2)

-- name: find_places_of
SELECT p.tenant, p.definition, p.subject FROM holdfast.items AS i
JOIN holdfast.places AS p ON p.tenant = i.tenant AND p.definition = i.definition AND p.subject = i.subject
WHERE i.tenant = $1 AND i.uid = ANY ($2::bytea[]) AND p.item = i.uid

-- name: delete_links_of
DELETE FROM holdfast.item_links WHERE tenant = $1 AND item = ANY ($2::bytea[])

-- name: delete_item_events
DELETE FROM holdfast.item_events WHERE tenant = $1 AND item = ANY ($2::bytea[])

-- name: delete_items
DELETE FROM holdfast.items WHERE tenant = $1 AND uid = ANY ($2::bytea[])
