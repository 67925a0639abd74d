-- Items as people look at them: by id, by what is asked of them, by their scores; and the scores of all of them.
--
-- Guarantees: a score is computed by the same expression for one item, for a queue and for all. A page is read from an
-- index in its order; no page counts or sorts what came before it.
-- Locks: none but of `recompute`: every open item of a tenant whose score changes, in order of uid, as changes of items
-- lock them.
-- Unlike SQLite, `recompute` leaves items alone whose score is what it was.

-- name: by_id
SELECT /*item*/ FROM holdfast.items AS i WHERE i.tenant = $1 AND i.id = ANY ($2::text[])

-- name: found
SELECT /*what*/ FROM /*begin*/ WHERE /*test*/ ORDER BY i.uid DESC LIMIT $3

-- Whether the index of due items is the one to read depends on how many of them are overdue.
-- name: plan_by_values
SELECT holdfast.now_us() FROM set_config('plan_cache_mode', 'force_custom_plan', true)

-- So that the subjects of a text are looked for once and hashed, however many there are.
-- name: plan_for_text
SELECT set_config('work_mem', '256MB', true)

-- name: from_items
holdfast.items AS i

-- Each item once, however often it was changed.
-- name: from_batch
(
    SELECT DISTINCT e.item FROM holdfast.item_events AS e WHERE e.tenant = $1 AND e.batch = /*batch*/
) AS e
CROSS JOIN LATERAL (SELECT * FROM holdfast.items AS i WHERE i.tenant = $1 AND i.uid = e.item OFFSET 0) AS i

-- The first of each status, in the order of an index; then the first of all.
-- name: from_statuses
unnest(/*statuses*/::text[]) AS v (status)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.items AS i WHERE i.status = v.status AND /*test*/ ORDER BY i.uid DESC LIMIT $3
) AS i

-- name: count
SELECT count(*) FROM (/*found*/) AS found

-- name: queue
WITH first AS MATERIALIZED (
    SELECT i.uid, i.position, i.created_at, i.id, /*score*/ AS score
    FROM (/*mine*/) AS i
    LEFT JOIN LATERAL (
        SELECT * FROM holdfast.definitions AS d WHERE d.tenant = $1 AND d.id = i.definition OFFSET 0
    ) AS d ON true
    LEFT JOIN LATERAL (
        SELECT * FROM holdfast.subjects AS s WHERE s.tenant = $1 AND s.id = i.subject OFFSET 0
    ) AS s ON true
    ORDER BY /*order*/ LIMIT $3
)
SELECT /*item*/, f.score, /*subject*/, /*definition*/
FROM first AS f
CROSS JOIN LATERAL (SELECT * FROM holdfast.items AS i WHERE i.tenant = $1 AND i.uid = f.uid OFFSET 0) AS i
LEFT JOIN LATERAL (
    SELECT * FROM holdfast.definitions AS d WHERE d.tenant = $1 AND d.id = i.definition OFFSET 0
) AS d ON true
LEFT JOIN LATERAL (
    SELECT * FROM holdfast.subjects AS s WHERE s.tenant = $1 AND s.id = i.subject OFFSET 0
) AS s ON true
ORDER BY /*last*/

-- name: from_assignee
SELECT * FROM holdfast.items AS i
WHERE i.tenant = $1 AND i.assignee = $2 AND i.status IN ('not_started', 'underway', 'snoozed') AND NOT i.blocked
  AND i.demo = $5 AND ($6 OR i.status <> 'snoozed' OR i.returns_at <= $4)

-- name: from_pools
SELECT * FROM holdfast.items AS i
WHERE i.tenant = $1 AND i.pool = ANY ($7::text[]) AND i.assignee IS NULL
  AND i.status IN ('not_started', 'underway', 'snoozed') AND NOT i.blocked
  AND i.demo = $5 AND ($6 OR i.status <> 'snoozed' OR i.returns_at <= $4)

-- name: scored
SELECT /*item*/, /*score*/, /*subject*/, /*definition*/
FROM (SELECT DISTINCT uid FROM unnest($2::bytea[]) AS v (uid)) AS v
CROSS JOIN LATERAL (SELECT * FROM holdfast.items AS i WHERE i.tenant = $1 AND i.uid = v.uid OFFSET 0) AS i
LEFT JOIN LATERAL (
    SELECT * FROM holdfast.definitions AS d WHERE d.tenant = $1 AND d.id = i.definition OFFSET 0
) AS d ON true
LEFT JOIN LATERAL (
    SELECT * FROM holdfast.subjects AS s WHERE s.tenant = $1 AND s.id = i.subject OFFSET 0
) AS s ON true

-- The signals of a subject are read once, for all its items. What has to be changed is found in the order of uids, by
-- joins that keep it, and changed where it stands: an item that somebody has changed since stands elsewhere, and keeps
-- the score that it was given. Two things are there for the planner. FULL, where LEFT is meant, leaves it nothing but
-- to hash; the rows more that it gives stand nowhere. What is always true of an id has it expect few of them, and so
-- hash these and not the items, whose order would be lost.
-- name: recompute
WITH kinds AS MATERIALIZED (
    SELECT d.id, d.type, d.weight FROM holdfast.definitions AS d WHERE d.tenant = $1 AND d.id = d.id || ''
), about AS MATERIALIZED (
    SELECT s.id, /*numbers*/ FROM holdfast.subjects AS s WHERE s.tenant = $1 AND s.id = s.id || ''
), changed AS (
    UPDATE holdfast.items AS i SET priority = v.score
    FROM (
        SELECT i.place, i.priority, /*score*/ AS score
        FROM (
            SELECT ctid AS place, * FROM holdfast.items
            WHERE tenant = $1 AND status IN ('not_started', 'underway', 'snoozed') ORDER BY uid OFFSET 0
        ) AS i
        FULL JOIN kinds AS d ON d.id = i.definition
        FULL JOIN about AS x ON x.id = i.subject
        OFFSET 0
    ) AS v
    WHERE i.ctid = v.place AND v.priority <> v.score
)
SELECT count(*) FROM holdfast.items AS i
WHERE i.tenant = $1 AND i.status IN ('not_started', 'underway', 'snoozed')

-- name: due_items
SELECT /*item*/ FROM holdfast.items AS i
WHERE i.act_at <= $1 AND i.status IN ('not_started', 'underway', 'snoozed')
ORDER BY i.act_at, i.tenant, i.uid LIMIT $2
