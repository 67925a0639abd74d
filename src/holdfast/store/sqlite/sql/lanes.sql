-- Lanes: who holds their slots, and who is in line.
--
-- Guarantees: never more holders than slots; nobody is in line while a slot is free; the first in line in
-- order of (rank, run) gets a slot in the commit that frees it. What leaves is counted from the rows of
-- `members` that are deleted, so that a repeated batch frees nothing twice.
-- Locks: none but the one on the file, unlike on PostgreSQL. A lane's row is written only when its slots
-- or the number of its holders change, and deleted with its last member.

-- name: find_lanes
SELECT id, slots, held FROM lanes WHERE id IN (VALUES /*rows*/ (?))

-- name: find_members
SELECT run, since IS NOT NULL FROM members WHERE run IN (VALUES /*rows*/ (?))

-- What is not told of a lane is taken from the runs that join.
-- name: find_terms
SELECT lane, tenant, coalesce(lane_name, ''), coalesce(lane_key, ''), coalesce(lane_slots, 1) FROM runs
WHERE uid IN (VALUES /*rows*/ (?))

-- name: delete_members
DELETE FROM members WHERE run IN (VALUES /*rows*/ (?)) RETURNING lane, since

-- The first so many in line of each lane.
-- name: first_in_line
SELECT m.rank, m.run, m.queue, m.workflow, m.version, m.protocol, m.fresh, m.lane
FROM (VALUES /*rows*/ (?)) AS v CROSS JOIN members AS m
WHERE m.run IN (SELECT run FROM members WHERE lane = v.column1 AND since IS NULL ORDER BY rank, run LIMIT ?)

-- name: call_members
UPDATE members SET since = (SELECT holdfast_now_us() + offset_us FROM clock) WHERE run IN (VALUES /*rows*/ (?))

-- name: insert_members
INSERT INTO members (lane, rank, run, since, queue, workflow, version, protocol, fresh)
SELECT column1, column2, column3, CASE WHEN column9 THEN (SELECT holdfast_now_us() + offset_us FROM clock) END,
       column4, column5, column6, column7, column8
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?)) AS v

-- name: insert_lanes
INSERT INTO lanes (id, tenant, name, key, slots, held) VALUES /*rows*/ (?, ?, ?, ?, ?, ?)

-- name: update_lanes
UPDATE lanes SET slots = v.column2, held = v.column3 FROM (VALUES /*rows*/ (?, ?, ?)) AS v WHERE lanes.id = v.column1

-- name: delete_lanes
DELETE FROM lanes WHERE id IN (VALUES /*rows*/ (?))

-- name: insert_ready
INSERT INTO ready (queue, workflow, version, protocol, rank, run, fresh) VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?)
