-- Items found and shown. What a list asks for beside the tenant is put together of the tests in lists.py: each names a
-- column that an index begins with after the tenant, and goes on by uid, so that a page reads what it shows.
--
-- `items` is items as they are stored.

-- name: items
SELECT i.tenant, i.uid, i.id, i.kind, i.definition, i.definition_version, i.type, i.weight, i.title, i.subject,
       i.assignee, i.pool, i.claimed_until, i.escalated_to, i.escalated_at, i.acknowledge_by, i.status, i.priority,
       i.snooze_until, i.snooze_days, i.snoozed_at, i.returns_at, i.due_at, i.act_at, i.blocked, i.started_at,
       i.completed_at, i.skipped_at, i.skip_reason, i.document, i.data, i.run, i.demo, i.position, i.created_at,
       i.revision
FROM items AS i

-- name: by_ids
WHERE i.tenant = ? AND i.id IN (VALUES /*rows*/ (?))

-- name: due
WHERE i.act_at <= ? AND i.act_at IS NOT NULL AND i.status IN ('not_started', 'underway', 'snoozed')
ORDER BY i.act_at, i.uid LIMIT ?

-- name: open
i.status IN ('not_started', 'underway', 'snoozed')

-- name: overdue
i.due_at <= (SELECT holdfast_now_us() + offset_us FROM clock) AND i.due_at IS NOT NULL
AND i.status IN ('not_started', 'underway', 'snoozed')

-- name: not_overdue
NOT (
    coalesce(i.due_at <= (SELECT holdfast_now_us() + offset_us FROM clock), false)
    AND i.status IN ('not_started', 'underway', 'snoozed')
)

-- name: text
(instr(i.folded, ?) > 0
 OR i.subject IN (SELECT s.id FROM subjects AS s WHERE s.tenant = ? AND instr(s.folded, ?) > 0))

-- name: batch
i.uid IN (SELECT e.item FROM item_events AS e WHERE e.tenant = ? AND e.batch = ?)
