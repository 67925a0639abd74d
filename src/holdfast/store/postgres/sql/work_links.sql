-- What items wait for, and the items of runs that are held, ask, or have ended.
--
-- Guarantees: an end and a new dependency do not miss each other. What waits is looked at once nothing keeps it.
-- Locks: the items that wait and those that are waited for, in order of tenant and uid, by one statement (see
-- work_items.sql), before any dependency is read or written. A run is not locked: if it ends just then, its end is
-- found by `end_run_links`, which leaves dependencies of items that are still being made to its next look.
-- Unlike SQLite, what has ended is judged in the statement that stores the dependency, behind the locks.

-- name: put_links
INSERT INTO holdfast.item_links (tenant, item, on_item, on_run, created_at, done_at)
SELECT v.tenant, v.item, v.on_item, v.on_run, v.created_at, coalesce(v.done_at, CASE
    WHEN v.on_item IS NOT NULL AND NOT EXISTS (
        SELECT FROM holdfast.items AS i
        WHERE i.tenant = v.tenant AND i.uid = v.on_item AND i.status IN ('not_started', 'underway', 'snoozed') OFFSET 0
    ) THEN $2::bigint
    WHEN v.on_run IS NOT NULL AND NOT EXISTS (
        SELECT FROM holdfast.runs AS r
        WHERE r.tenant = v.tenant AND r.id = v.on_run AND r.status IN ('open', 'held') OFFSET 0
    ) THEN $2::bigint
END)
FROM unnest($1::holdfast.item_link_row[]) AS v
ON CONFLICT DO NOTHING

-- name: delete_links
DELETE FROM holdfast.item_links AS l USING unnest($1::holdfast.item_link_row[]) AS v
WHERE l.tenant = v.tenant AND l.item = v.item AND l.on_item = v.on_item

-- name: delete_run_links
DELETE FROM holdfast.item_links AS l USING unnest($1::holdfast.item_link_row[]) AS v
WHERE l.tenant = v.tenant AND l.item = v.item AND l.on_run = v.on_run

-- name: links_of
SELECT tenant, item, on_item, on_run, created_at, done_at FROM holdfast.item_links
WHERE tenant = $1 AND item = ANY ($2::bytea[])

-- name: links_on
SELECT tenant, item, on_item, on_run, created_at, done_at FROM holdfast.item_links
WHERE tenant = $1 AND on_item = ANY ($2::bytea[])

-- name: find_run_links
SELECT l.tenant, l.item, l.on_run FROM holdfast.item_links AS l
CROSS JOIN LATERAL (
    SELECT FROM holdfast.items AS i WHERE i.tenant = l.tenant AND i.uid = l.item OFFSET 0
) AS i
WHERE l.on_run IS NOT NULL AND l.done_at IS NULL AND NOT EXISTS (
    SELECT FROM holdfast.runs AS r
    WHERE r.tenant = l.tenant AND r.id = l.on_run AND r.status IN ('open', 'held') OFFSET 0
)
LIMIT $1

-- name: end_run_links
UPDATE holdfast.item_links AS l SET done_at = $4
FROM unnest($1::text[], $2::bytea[], $3::text[]) AS v (tenant, item, run)
WHERE l.tenant = v.tenant AND l.item = v.item AND l.on_run = v.run AND l.done_at IS NULL

-- name: held_without_item
SELECT r.tenant, r.id, r.uid, r.generation FROM holdfast.troubled AS t
CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.uid = t.run AND r.status = 'held' OFFSET 0) AS r
WHERE t.status = 'held' AND NOT EXISTS (
    SELECT FROM holdfast.items AS i
    WHERE i.kind = 'hold' AND i.tenant = r.tenant AND i.run = r.id
      AND i.status IN ('not_started', 'underway', 'snoozed') OFFSET 0
)
ORDER BY t.tenant, t.run LIMIT $1

-- name: hold_items_of_others
SELECT /*item*/ FROM holdfast.items AS i
WHERE i.kind = 'hold' AND i.run IS NOT NULL AND i.status IN ('not_started', 'underway', 'snoozed') AND NOT EXISTS (
    SELECT FROM holdfast.runs AS r WHERE r.tenant = i.tenant AND r.id = i.run AND r.status = 'held' OFFSET 0
)
ORDER BY i.tenant, i.run LIMIT $1

-- name: ask_items_of_ended
SELECT /*item*/ FROM holdfast.items AS i
WHERE i.kind = 'ask' AND i.run IS NOT NULL AND i.status IN ('not_started', 'underway', 'snoozed') AND NOT EXISTS (
    SELECT FROM holdfast.runs AS r
    WHERE r.tenant = i.tenant AND r.id = i.run AND r.status IN ('open', 'held') OFFSET 0
)
ORDER BY i.tenant, i.run LIMIT $1
