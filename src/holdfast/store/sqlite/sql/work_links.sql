-- What items wait for, and the items of runs that are held or ask. Each verb that writes is one BEGIN IMMEDIATE …
-- COMMIT, so that an item does not end between a look at it and a link on it; PostgreSQL locks the item for that.
--
-- Guarantees: a link on what has ended is done; an open item whose `blocked` does not fit its links (it waits for
-- nothing, or for something and does not know it) is to be looked at now, and stays so until it is changed.

-- name: put_links
INSERT INTO item_links (tenant, item, on_item, on_run, created_at, done_at)
SELECT v.column1, v.column2, v.column3, v.column4, v.column5, coalesce(v.column6, CASE
    WHEN v.column3 IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM items AS i WHERE i.tenant = v.column1 AND i.uid = v.column3
                                   AND i.status IN ('not_started', 'underway', 'snoozed')
    ) THEN v.column7
    WHEN v.column4 IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM runs AS r WHERE r.tenant = v.column1 AND r.id = v.column4 AND r.status IN ('open', 'held')
    ) THEN v.column7
END)
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?)) AS v WHERE true
ON CONFLICT DO NOTHING

-- name: delete_link
DELETE FROM item_links WHERE tenant = ? AND item = ? AND on_item IS ? AND on_run IS ?

-- name: end_links
UPDATE item_links SET done_at = v.column3 FROM (VALUES /*rows*/ (?, ?, ?)) AS v
WHERE tenant = v.column1 AND on_item = v.column2 AND on_item IS NOT NULL AND done_at IS NULL
RETURNING tenant, item, done_at

-- name: ended_runs
SELECT 1 FROM item_links AS l
WHERE l.on_run IS NOT NULL AND l.done_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM runs AS r WHERE r.tenant = l.tenant AND r.id = l.on_run AND r.status IN ('open', 'held')
)
LIMIT 1

-- name: end_run_links
UPDATE item_links SET done_at = ?1 WHERE rowid IN (
    SELECT l.rowid FROM item_links AS l
    WHERE l.on_run IS NOT NULL AND l.done_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM runs AS r WHERE r.tenant = l.tenant AND r.id = l.on_run AND r.status IN ('open', 'held')
    )
    LIMIT ?2
)
RETURNING tenant, item, done_at

-- name: forget_links
DELETE FROM item_links WHERE tenant = ? AND item = ?

-- name: look_at
UPDATE items SET act_at = v.column3 FROM (VALUES /*rows*/ (?, ?, ?)) AS v
WHERE tenant = v.column1 AND uid = v.column2 AND +status IN ('not_started', 'underway', 'snoozed')
  AND (act_at IS NULL OR act_at > v.column3)
  AND blocked <> EXISTS (
    SELECT 1 FROM item_links AS l WHERE l.tenant = v.column1 AND l.item = v.column2 AND l.done_at IS NULL
)

-- name: links_of
SELECT l.tenant, l.item, l.on_item, l.on_run, l.created_at, l.done_at
FROM (VALUES /*rows*/ (?, ?)) AS v CROSS JOIN item_links AS l ON l.tenant = v.column1 AND l.item = v.column2

-- name: links_on
SELECT l.tenant, l.item, l.on_item, l.on_run, l.created_at, l.done_at
FROM (VALUES /*rows*/ (?, ?)) AS v CROSS JOIN item_links AS l
  ON l.tenant = v.column1 AND l.on_item = v.column2 AND l.on_item IS NOT NULL

-- Held runs are few, and in an index of their own.
-- name: held_without_item
SELECT d.tenant, r.id, r.uid, r.generation FROM troubled AS d CROSS JOIN runs AS r ON r.uid = d.run
WHERE d.status = 'held' AND r.status = 'held' AND NOT EXISTS (
    SELECT 1 FROM items AS i
    WHERE i.kind = 'hold' AND i.tenant = d.tenant AND i.run = r.id AND i.run IS NOT NULL
      AND i.status IN ('not_started', 'underway', 'snoozed')
)
ORDER BY d.tenant, d.run LIMIT ?

-- name: of_runs_not_held
WHERE i.kind = 'hold' AND i.run IS NOT NULL AND i.status IN ('not_started', 'underway', 'snoozed') AND NOT EXISTS (
    SELECT 1 FROM runs AS r WHERE r.tenant = i.tenant AND r.id = i.run AND r.status = 'held'
)
LIMIT ?

-- name: of_runs_ended
WHERE i.kind = 'ask' AND i.run IS NOT NULL AND i.status IN ('not_started', 'underway', 'snoozed') AND NOT EXISTS (
    SELECT 1 FROM runs AS r WHERE r.tenant = i.tenant AND r.id = i.run AND r.status IN ('open', 'held')
)
LIMIT ?
