-- Items with their scores. `/*score*/` is an expression that holdfast.store.scoring compiled over items i, definitions d
-- and subjects s, with the clock as :now: the same wherever a score is computed.
--
-- Guarantees: a queue reads the open items of one assignee (and the unclaimed ones of some groups), however many
-- others there are; all scores are stored by one statement.

-- Where an item's definition and subject stand beside it.
-- name: beside
LEFT JOIN definitions AS d ON d.tenant = i.tenant AND d.id = i.definition
LEFT JOIN subjects AS s ON s.tenant = i.tenant AND s.id = i.subject

-- name: of_assignee
i.tenant = :tenant AND i.assignee = :assignee

-- name: of_pools
i.tenant = :tenant AND i.assignee IS NULL AND i.pool IS NOT NULL AND i.pool IN (/*pools*/)

-- name: workable
i.status IN ('not_started', 'underway', 'snoozed') AND i.blocked = 0 AND i.demo = :demo
AND (:snoozed OR i.status <> 'snoozed' OR i.returns_at <= :now)

-- name: by_score
ORDER BY q.priority DESC, q.created_at, q.id

-- name: by_position
ORDER BY q.position IS NULL, q.position, q.created_at, q.id

-- name: candidates
SELECT i.uid, /*score*/ AS priority, i.position, i.created_at, i.id FROM items AS i /*beside*/
WHERE

-- name: shown
SELECT q.priority,
       i.tenant, i.uid, i.id, i.kind, i.definition, i.definition_version, i.type, i.weight, i.title, i.subject,
       i.assignee, i.pool, i.claimed_until, i.escalated_to, i.escalated_at, i.acknowledge_by, i.status, i.priority,
       i.snooze_until, i.snooze_days, i.snoozed_at, i.returns_at, i.due_at, i.act_at, i.blocked, i.started_at,
       i.completed_at, i.skipped_at, i.skip_reason, i.document, i.data, i.run, i.demo, i.position, i.created_at,
       i.revision,
       s.tenant, s.id, s.name, s.assignee, s.properties, s.contacts, s.weak, CAST(s.signals AS BLOB),
       CAST(s.signals_at AS BLOB), s.scores, s.demo, s.created_at, s.revision,
       d.tenant, d.id, d.version, d.name, d.type, d.weight, d.active, d.demo, d.position, d.document, d.created_by,
       d.created_at
FROM (/*ranked*/) AS q CROSS JOIN items AS i ON i.tenant = :tenant AND i.uid = q.uid

-- name: some
i.tenant = :tenant AND i.uid IN (/*uids*/)

-- What scores need of the subjects (`/*numbers*/`) is read once for each of them, not for each item.
-- name: recompute
WITH x AS MATERIALIZED (SELECT s.id, /*numbers*/ FROM subjects AS s WHERE s.tenant = :tenant)
UPDATE items AS i SET priority = (
    SELECT /*score*/ FROM (SELECT 1)
    LEFT JOIN definitions AS d ON d.tenant = i.tenant AND d.id = i.definition LEFT JOIN x ON x.id = i.subject
)
WHERE i.tenant = :tenant AND i.status IN ('not_started', 'underway', 'snoozed')

-- Python does not count what a statement changes that begins with WITH.
-- name: changed
SELECT changes()
