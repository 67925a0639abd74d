-- From ready to running by a claim, inside the transaction of its batch.
--
-- Guarantees: a run is claimed by one worker, under an epoch that is higher than every earlier one's; only a
-- worker whose lease holds claims; a repeated claim is given the same runs. Unlike on PostgreSQL nothing is
-- taken meanwhile by others, and a place where rows were taken is as short as if they had never been there.

-- name: begin_claim
UPDATE workers SET claim_id = ?1
WHERE id = ?2 AND expires_at > (SELECT holdfast_now_us() + offset_us FROM clock)
RETURNING claim_id

-- name: last_claim
SELECT claim_id FROM workers WHERE id = ?

-- What executes from a queue and from all its shares.
-- name: count_executing
SELECT (SELECT count(*) FROM running WHERE queue = ?1)
     + (SELECT count(*) FROM running WHERE queue >= ?1 || char(31) AND queue < ?1 || char(32))

-- name: count_places
SELECT v.column1, (SELECT count(*) FROM running WHERE queue = v.column1) FROM (VALUES /*rows*/ (?)) AS v

-- The names of places in a range, by skipping from one to the next, and whether something of these kinds is there: one
-- look into the index for each, however many runs wait there, and for as many as are fetched.
-- name: look
WITH RECURSIVE names (queue) AS (
    SELECT (SELECT queue FROM ready WHERE queue >= ? AND queue < ? ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (
        SELECT queue FROM ready WHERE queue >= k.queue || char(1) AND queue < ? ORDER BY queue LIMIT 1
    ) FROM names AS k WHERE k.queue IS NOT NULL
)
SELECT n.queue, EXISTS (
    SELECT 1 FROM (VALUES /*rows*/ (?, ?, ?)) AS d CROSS JOIN ready AS y
    WHERE y.queue = n.queue AND y.workflow = d.column1 AND y.version = d.column2 AND y.protocol = d.column3
) FROM names AS n WHERE n.queue IS NOT NULL LIMIT ?

-- The same for the first place of each tenant, of whatever kind.
-- name: look_tenants
WITH RECURSIVE names (queue) AS (
    SELECT (SELECT queue FROM ready WHERE queue >= ? AND queue < ? ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (
        SELECT queue FROM ready
        WHERE queue >= CASE WHEN instr(k.queue, char(31)) = 0 THEN k.queue || char(1) ELSE substr(
                k.queue, 1,
                instr(k.queue, char(31)) + instr(substr(k.queue, instr(k.queue, char(31)) + 1), char(31)) - 1
            ) || char(32) END
            AND queue < ?
        ORDER BY queue LIMIT 1
    ) FROM names AS k WHERE k.queue IS NOT NULL
)
SELECT queue, 1 FROM names WHERE queue IS NOT NULL LIMIT ?

-- name: next_epoch
UPDATE epochs SET value = value + 1 RETURNING value

-- name: peek_ready
SELECT rank, run FROM ready
WHERE queue = ? AND workflow = ? AND version = ? AND protocol = ? ORDER BY rank, run LIMIT ?

-- name: take_ready
INSERT INTO running (run, worker, epoch, claim_id, claimed_at, fresh, queue)
SELECT run, ?7, ?8, ?9, (SELECT holdfast_now_us() + offset_us FROM clock), fresh, ?10 FROM ready
WHERE queue = ?1 AND workflow = ?2 AND version = ?3 AND protocol = ?4 AND (rank, run) <= (?5, ?6)

-- name: drop_ready
DELETE FROM ready
WHERE queue = ?1 AND workflow = ?2 AND version = ?3 AND protocol = ?4 AND (rank, run) <= (?5, ?6)

-- The first in rank of many places at once, and how these are taken one by one.
-- name: peek_places
SELECT v.column1, v.column2, v.column3, v.column4, y.rank, y.run, y.fresh
FROM (VALUES /*rows*/ (?, ?, ?, ?)) AS v CROSS JOIN ready AS y
WHERE y.queue = v.column1 AND y.workflow = v.column2 AND y.version = v.column3 AND y.protocol = v.column4
  AND (y.rank, y.run) IN (
      SELECT rank, run FROM ready
      WHERE queue = v.column1 AND workflow = v.column2 AND version = v.column3 AND protocol = v.column4
      ORDER BY rank, run LIMIT ?
  )

-- name: take_runs
INSERT INTO running (run, worker, epoch, claim_id, claimed_at, fresh, queue)
SELECT column1, column2, column3, column4, (SELECT holdfast_now_us() + offset_us FROM clock), column5, column6
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?))

-- name: drop_run
DELETE FROM ready WHERE queue = ? AND workflow = ? AND version = ? AND protocol = ? AND rank = ? AND run = ?

-- name: read_claimed
SELECT r.uid, r.tenant, r.id, r.workflow, r.version, r.protocol, r.queue, r.priority, r.rank, r.generation,
       r.rescues, r.input, r.parent_uid, r.parent_position, r.parent_generation, r.created_at, g.epoch, g.fresh,
       r.lane, r.lanes_above, r.parent_group, r.control, r.cuts, r.attributes, r.deadline_at
FROM (VALUES /*rows*/ (?)) AS v JOIN running AS g ON g.run = v.column1 JOIN runs AS r ON r.uid = g.run
ORDER BY r.rank, r.uid

-- name: repeat_claim
SELECT r.uid, r.tenant, r.id, r.workflow, r.version, r.protocol, r.queue, r.priority, r.rank, r.generation,
       r.rescues, r.input, r.parent_uid, r.parent_position, r.parent_generation, r.created_at, g.epoch, g.fresh,
       r.lane, r.lanes_above, r.parent_group, r.control, r.cuts, r.attributes, r.deadline_at
FROM running AS g JOIN runs AS r ON r.uid = g.run WHERE g.worker = ? AND g.claim_id = ? ORDER BY r.rank, r.uid
