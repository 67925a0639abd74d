-- What was done, and how much there is to do.
--
-- Of n ages in order, the median is number ceil(n / 2) and the ninetieth percentile number ceil(9 n / 10): both are
-- ages that there were, as percentile_disc gives them on PostgreSQL.

-- `/*group*/` is a column of events, or NULL; `/*which*/` more conditions.
-- name: figures
SELECT f.part, f.move, f.reason, f.moves,
       max(CASE WHEN f.place = (f.moves + 1) / 2 THEN f.since_us END),
       max(CASE WHEN f.place = (9 * f.moves + 9) / 10 THEN f.since_us END)
FROM (
    SELECT a.part, a.move, a.reason, a.since_us,
           row_number() OVER (PARTITION BY a.part, a.move, a.reason ORDER BY a.since_us) AS place,
           count(*) OVER (PARTITION BY a.part, a.move, a.reason) AS moves
    FROM (
        SELECT /*group*/ AS part, e.move, CASE WHEN e.move = 'skip' THEN e.reason END AS reason, e.since_us
        FROM item_events AS e WHERE e.tenant = ? AND e.at >= ? AND e.at < ? AND e.demo = ? /*which*/
    ) AS a
) AS f
GROUP BY f.part, f.move, f.reason
ORDER BY f.part IS NULL, f.part, f.move, f.reason IS NOT NULL, f.reason

-- name: loads
SELECT i.assignee, i.definition, count(*), sum(i.status = 'underway'),
       sum(i.due_at IS NOT NULL AND i.due_at <= ?2)
FROM items AS i
WHERE i.tenant = ?1 AND i.demo = 0 AND i.status IN ('not_started', 'underway', 'snoozed')
GROUP BY i.assignee, i.definition ORDER BY i.assignee IS NULL, i.assignee

-- The next definition of which an item was completed, so that each is one look into the index.
-- name: next_completed
SELECT i.definition FROM items AS i
WHERE i.tenant = ? AND i.definition > ?
  AND i.completed_at IS NOT NULL AND i.started_at IS NOT NULL AND i.demo = 0
ORDER BY i.definition LIMIT 1

-- The newest first.
-- name: took
SELECT i.completed_at - i.started_at FROM items AS i
WHERE i.tenant = ? AND i.definition IS ? AND i.completed_at >= ?
  AND i.completed_at IS NOT NULL AND i.started_at IS NOT NULL AND i.demo = 0
ORDER BY i.completed_at DESC LIMIT ?
