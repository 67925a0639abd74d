-- Runs found and shown, and what an explanation of their standing needs. Nothing here reads more of a large
-- table than it shows or counts up to a cap.
--
-- `runs` is runs as they are shown, their progress last. A search begins where the fewest runs are found that do
-- not meet it (`from_text` to `from_waiting`), and goes through it from its newest end; else at the tenant's newest run.

-- name: runs
SELECT r.uid, r.tenant, r.id, r.workflow, r.version, r.queue, r.priority,
       CASE WHEN r.status <> 'open' THEN r.status WHEN g.run IS NOT NULL THEN 'running'
            WHEN p.run IS NOT NULL AND p.epoch > 0 THEN 'waiting' ELSE 'queued' END AS shown,
       r.generation, r.input, r.output, r.attributes, parent.id, r.rescues, g.worker,
       r.created_at, coalesce(r.started_at, g.claimed_at), r.finished_at, coalesce(p.wake_at, r.due_at),
       r.deadline_at, r.control, r.cuts, r.failed_seq, source.id, r.forked_seq,
       (SELECT group_concat(id, char(31)) FROM (
            SELECT id FROM runs AS f WHERE f.forked_from = r.uid ORDER BY uid LIMIT 20
        )),
       r.lane, r.lane_name, r.lane_key, r.parent_position, s.current, s.total, s.note, s.at
FROM /*from*/ runs AS r
LEFT JOIN running AS g ON g.run = r.uid LEFT JOIN parked AS p ON p.run = r.uid
LEFT JOIN runs AS parent ON parent.uid = r.parent_uid LEFT JOIN runs AS source ON source.uid = r.forked_from
LEFT JOIN progress AS s ON s.run = r.uid

-- Where searches begin. CROSS JOIN keeps the order of the tables, and so that of the runs.
-- name: from_text
attributes AS d CROSS JOIN

-- name: is_text
d.tenant = ? AND d.name = ? AND d.text = ? AND d.text IS NOT NULL

-- name: from_number
attributes AS d CROSS JOIN

-- name: is_number
d.tenant = ? AND d.name = ? AND d.number = ? AND d.number IS NOT NULL

-- name: from_trouble
troubled AS d CROSS JOIN

-- name: is_trouble
d.tenant = ? AND d.status = ?

-- name: from_executing
running AS d CROSS JOIN

-- name: from_waiting
parked AS d CROSS JOIN

-- Nowhere in the order of time: for counting only.
-- name: from_queued
(
    SELECT run FROM ready UNION ALL SELECT run FROM members WHERE since IS NULL
    UNION ALL SELECT run FROM parked WHERE epoch = 0
) AS d CROSS JOIN

-- name: children
SELECT uid, id, parent_position, status, output FROM runs
WHERE parent_uid = ?1 AND parent_position > coalesce(?4, '') AND (NOT ?2 OR status IN ('open', 'held'))
ORDER BY parent_position, uid LIMIT ?3

-- name: child_outcomes
SELECT uid, id, parent_position, status, output FROM runs
WHERE parent_uid = ?1 AND parent_position >= ?3 AND parent_generation = ?2
  AND parent_group = length(?3) AND substr(parent_position, 1, length(?3)) = ?3
ORDER BY parent_position, uid

-- name: where_stands
SELECT r.queue, r.workflow, r.version, r.protocol, r.rank, r.lane, g.claimed_at, w.beat_at,
       p.run IS NOT NULL, p.wake_at, p.wanted, m.run IS NOT NULL AND m.since IS NULL
FROM runs AS r
LEFT JOIN running AS g ON g.run = r.uid LEFT JOIN workers AS w ON w.id = g.worker
LEFT JOIN parked AS p ON p.run = r.uid
LEFT JOIN members AS m ON m.run = r.uid
WHERE r.uid = ?

-- name: is_ready
SELECT 1 FROM ready WHERE queue = ? AND workflow = ? AND version = ? AND protocol = ? AND rank = ? AND run = ?

-- name: ready_ahead
SELECT count(*) FROM (
    SELECT 1 FROM ready
    WHERE queue = ? AND workflow = ? AND version = ? AND protocol = ? AND (rank, run) < (?, ?) LIMIT 1000
)

-- name: line_ahead
SELECT count(*) FROM (
    SELECT 1 FROM members WHERE lane = ? AND (rank, run) < (?, ?) AND since IS NULL LIMIT 1000
)

-- Seldom asked, by a person: holders are in no index, so that a slot that is had at once costs none.
-- name: holders
SELECT coalesce(r.id, ''), m.since FROM members AS m LEFT JOIN runs AS r ON r.uid = m.run
WHERE m.lane = ? AND m.since IS NOT NULL ORDER BY m.since, m.run LIMIT 10

-- name: served
SELECT count(*) FROM served AS s JOIN workers AS w ON w.id = s.worker
WHERE s.queue = ? AND s.workflow = ? AND s.version = ? AND s.protocol = ?
  AND w.expires_at > (SELECT holdfast_now_us() + offset_us FROM clock)

-- name: waits_of
SELECT t.name, t.key, w.due_at FROM waits AS w JOIN topics AS t ON t.id = w.topic
WHERE w.run = ? AND w.purpose = 'wait' ORDER BY w.since, w.position

-- name: open_children
SELECT id FROM runs
WHERE parent_uid = ? AND parent_position IS NOT NULL AND status IN ('open', 'held')
ORDER BY parent_position, uid LIMIT 10

-- name: executing
SELECT CASE WHEN total IS NOT NULL THEN (
           SELECT count(*) FROM running WHERE queue = ?1 OR (queue >= ?1 || char(31) AND queue < ?1 || char(32))
       ) END,
       CASE WHEN per_key IS NOT NULL THEN (SELECT count(*) FROM running WHERE queue = ?2) END
FROM queues WHERE name = ?1

-- name: lane
SELECT l.id, l.tenant, l.name, l.key, l.slots, l.held,
       (SELECT count(*) FROM (SELECT 1 FROM members WHERE lane = l.id AND since IS NULL LIMIT 1000))
FROM lanes AS l WHERE l.id = ?

-- name: lanes
SELECT l.id, l.tenant, l.name, l.key, l.slots, l.held,
       (SELECT count(*) FROM (SELECT 1 FROM members WHERE lane = l.id AND since IS NULL LIMIT 1000))
FROM lanes AS l WHERE l.tenant = ? AND l.held > 0 ORDER BY l.name, l.key LIMIT ?

-- What executes from a queue without a limit is in no index: the newest are looked at.
-- name: executing_by_queue
SELECT r.queue, count(*) FROM (SELECT run FROM running ORDER BY run DESC LIMIT 10000) AS g
CROSS JOIN runs AS r ON r.uid = g.run GROUP BY r.queue

-- name: count_limited
SELECT count(*) FROM (
    SELECT 1 FROM running WHERE queue = ?1 OR (queue >= ?1 || char(31) AND queue < ?1 || char(32)) LIMIT ?2
)

-- Of a queue with all its shares.
-- name: count_ready
SELECT count(*) FROM (
    SELECT 1 FROM ready WHERE queue = ?1 OR (queue >= ?1 || char(31) AND queue < ?1 || char(32)) LIMIT ?2
)

-- name: count_place
SELECT count(*) FROM (SELECT 1 FROM ready WHERE queue = ? LIMIT ?)

-- name: head_of_kind
SELECT rank, run FROM ready
WHERE queue = ? AND workflow = ? AND version = ? AND protocol = ? ORDER BY rank, run LIMIT 1

-- name: due_at
SELECT coalesce(due_at, created_at) FROM runs WHERE uid = ?

-- The next place, so that each is one look into the index, however many runs it has.
-- name: next_place
SELECT queue FROM ready WHERE queue >= ? AND queue < ? ORDER BY queue LIMIT 1

-- name: next_queue
SELECT queue FROM ready WHERE queue >= ? ORDER BY queue LIMIT 1

-- The next kind after this one. Not by comparing the four at once: that would step over all runs of this one.
-- name: next_kind
SELECT * FROM (
    SELECT queue, workflow, version, protocol FROM ready
    WHERE queue = ?1 AND workflow = ?2 AND version = ?3 AND protocol > ?4 ORDER BY protocol LIMIT 1
)
UNION ALL SELECT * FROM (
    SELECT queue, workflow, version, protocol FROM ready
    WHERE queue = ?1 AND workflow = ?2 AND version > ?3 ORDER BY version, protocol LIMIT 1
)
UNION ALL SELECT * FROM (
    SELECT queue, workflow, version, protocol FROM ready
    WHERE queue = ?1 AND workflow > ?2 ORDER BY workflow, version, protocol LIMIT 1
)
UNION ALL SELECT * FROM (
    SELECT queue, workflow, version, protocol FROM ready
    WHERE queue > ?1 ORDER BY queue, workflow, version, protocol LIMIT 1
)
LIMIT 1

-- name: count_kind
SELECT count(*) FROM (
    SELECT 1 FROM ready WHERE queue = ? AND workflow = ? AND version = ? AND protocol = ? LIMIT ?
)
