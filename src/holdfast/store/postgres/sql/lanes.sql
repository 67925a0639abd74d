-- Lanes: who holds their slots, and who is in line.
--
-- Guarantees: never more holders than slots; nobody is in line while a slot is free; the first in line
-- in order of (rank, run) gets a slot in the commit that frees it. However many of a lane's runs end in
-- one batch, each counts, and once: what leaves is counted from the rows of `members` that are deleted.
-- Locks: the lanes' rows in order of id, by one statement, which also makes those that are missing: the
-- making of a row is waited for as a lock on it is, so it stands in the same order. Whatever else is
-- locked, is locked before; what comes after are rows of `members`, which are changed under their lane's
-- lock alone, and new rows of `ready`.
-- Unlike SQLite, reading comes after locking, by a statement of its own, whose snapshot shows what was
-- committed before the lock was had.
--
-- A lane's row is written only when its slots or their holders change in number: a slot that is passed on
-- leaves no dead row there. It does leave dead entries at the beginning of the lane's line, until vacuum
-- clears them; after a hundred thousand each search would first walk over these. So the caller remembers
-- how far the line is used up, see `Lines`.

-- What is not told of a lane is taken from the run that joins. A lane that only a run leaves which is not
-- in it gets a row for the moment. DO UPDATE locks the row that is there, and WHERE false leaves it as it is.
-- Those that are returned are new, with the holders that they are about to have. There was no lane, so it has
-- no members yet: nothing is looked up for these afterwards.
-- name: lock_lanes
INSERT INTO holdfast.lanes (id, tenant, name, key, slots, held)
SELECT v.id, coalesce(v.tenant, r.tenant, ''), coalesce(v.name, r.lane_name, ''), coalesce(v.key, r.lane_key, ''),
       coalesce(v.slots, r.lane_slots, 1), least(v.held, coalesce(v.slots, r.lane_slots, 1))
FROM (SELECT * FROM unnest($1::holdfast.lane_row[]) ORDER BY id) AS v
LEFT JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.uid = v.run OFFSET 0) AS r ON true
ORDER BY v.id
ON CONFLICT (id) DO UPDATE SET held = lanes.held WHERE false
RETURNING id, slots, held

-- Three kinds of rows: the lanes; the members that left; the members among those that join.
-- name: leave_lanes
WITH gone AS (
    DELETE FROM holdfast.members WHERE ctid = ANY (ARRAY(
        SELECT m.place FROM unnest($2::bytea[], $3::bigint[], $4::bytea[]) AS v (lane, rank, run)
        CROSS JOIN LATERAL (
            SELECT m.ctid AS place FROM holdfast.members AS m
            WHERE m.lane = v.lane AND m.rank = v.rank AND m.run = v.run OFFSET 0
        ) AS m
    ))
    RETURNING lane, run, since
)
SELECT 'lane', v.id, l.slots, l.held, NULL::bytea, NULL::bigint FROM unnest($1::bytea[]) AS v (id)
CROSS JOIN LATERAL (SELECT * FROM holdfast.lanes AS l WHERE l.id = v.id OFFSET 0) AS l
UNION ALL
SELECT 'left', lane, NULL, NULL, run, since FROM gone
UNION ALL
SELECT 'member', v.lane, NULL, NULL, v.run, m.since
FROM unnest($5::bytea[], $6::bigint[], $7::bytea[]) AS v (lane, rank, run)
CROSS JOIN LATERAL (
    SELECT m.since FROM holdfast.members AS m WHERE m.lane = v.lane AND m.rank = v.rank AND m.run = v.run OFFSET 0
) AS m

-- The first so many in line of each lane, from (rank, run) on.
-- name: first_in_line
SELECT v.lane, m.rank, m.run
FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::bigint[]) AS v (lane, rank, run, most)
CROSS JOIN LATERAL (
    SELECT m.rank, m.run FROM holdfast.members AS m
    WHERE m.lane = v.lane AND (m.rank, m.run) >= (v.rank, v.run) AND m.since IS NULL
    ORDER BY m.rank, m.run LIMIT v.most
) AS m

-- Those of the line who get a slot, those who join (with a slot or in line), and the lanes that changed.
-- name: change_lanes
WITH clock AS MATERIALIZED (
    SELECT holdfast.now_us() AS now_us
), called AS (
    UPDATE holdfast.members SET since = (SELECT now_us FROM clock) WHERE ctid = ANY (ARRAY(
        SELECT m.place FROM unnest($1::bytea[], $2::bigint[], $3::bytea[]) AS v (lane, rank, run)
        CROSS JOIN LATERAL (
            SELECT m.ctid AS place FROM holdfast.members AS m
            WHERE m.lane = v.lane AND m.rank = v.rank AND m.run = v.run OFFSET 0
        ) AS m
    ))
    RETURNING queue, workflow, version, protocol, rank, run, fresh
), joined AS (
    INSERT INTO holdfast.members (lane, rank, run, since, queue, workflow, version, protocol, fresh)
    SELECT lane, rank, run, CASE WHEN gets THEN (SELECT now_us FROM clock) END, queue, workflow, version, protocol, fresh
    FROM unnest($4::holdfast.join_row[]) WHERE joins
), counted AS (
    UPDATE holdfast.lanes AS l SET slots = v.slots, held = v.held
    FROM unnest($5::bytea[], $6::bigint[], $7::bigint[]) AS v (id, slots, held) WHERE l.id BETWEEN v.id AND v.id
), emptied AS (
    DELETE FROM holdfast.lanes WHERE id = ANY ($8::bytea[])
)
INSERT INTO holdfast.ready (queue, workflow, version, protocol, rank, run, fresh)
SELECT queue, workflow, version, protocol, rank, run, fresh FROM called
UNION ALL
SELECT queue, workflow, version, protocol, rank, run, fresh FROM unnest($4::holdfast.join_row[]) WHERE gets
