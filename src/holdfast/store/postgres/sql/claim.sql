-- From parked to ready by time, and from ready to running by a claim.
--
-- Guarantees: a run is claimed by one worker, under an epoch that is higher than every earlier one's;
-- only a worker whose lease holds claims; a repeated claim waits for the first, which may still
-- commit, and is then given the same runs.
-- Locks: the rows of queues that are limited over all workers, in order of name; the worker's row; then
-- rows of `parked` and `ready` with SKIP LOCKED, so that nobody waits for another's. Where SQLite takes exactly the lowest ranks, a row that another process is taking is
-- passed over here, and the next one of its kind is taken instead.
--
-- A claim costs the same however many rows wait: `ready` is read along its key, from the place where
-- (queue, workflow, version, protocol) begins. Rows that were taken leave dead entries at that place
-- until vacuum clears them, and after a hundred thousand each search would first walk over these. So
-- the caller remembers the rank that it last took, searches from `low` on, and goes back to the
-- beginning when it finds less than it wants and at intervals, for what came later with a lower rank.
-- `due` and `next_wake` do the same with `parked`.

-- Those that have a lane do not get ready here; they join it later in the batch.
-- name: promote
WITH gone AS (
    DELETE FROM holdfast.parked WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM holdfast.parked
        WHERE wake_at >= $2 AND wake_at <= (SELECT holdfast.now_us())
        ORDER BY wake_at, run LIMIT $1 FOR UPDATE SKIP LOCKED
    ))
    RETURNING wake_at, epoch, queue, workflow, version, protocol, rank, run, lane
), woken AS (
    INSERT INTO holdfast.ready (queue, workflow, version, protocol, rank, run, fresh)
    SELECT queue, workflow, version, protocol, rank, run, epoch = 0 FROM gone WHERE lane IS NULL
)
SELECT count(*), max(wake_at),
       array_agg(ROW(lane, rank, run, queue, workflow, version, protocol, epoch = 0, true, true)::holdfast.join_row)
           FILTER (WHERE lane IS NOT NULL)
FROM gone

-- name: next_wake
SELECT wake_at FROM holdfast.parked WHERE wake_at >= $1 ORDER BY wake_at, run LIMIT 1

-- The lease is locked, so that it holds until the claim is committed, and a repeated claim waits for the
-- first. The row is not written: a version for each claim would make the next one dearer, for as long as
-- some snapshot keeps them all. The clock is asked for the row itself, also again after a wait for it.
-- name: begin_claim
SELECT 1 FROM holdfast.workers WHERE id = $1 AND expires_at > holdfast.now_us() FOR UPDATE

-- name: repeat_claim
SELECT r.uid, r.tenant, r.id, r.workflow, r.version, r.protocol, r.queue, r.priority, r.rank, r.generation,
       r.rescues, r.input, r.parent_uid, r.parent_position, r.parent_generation, r.created_at, g.epoch, g.fresh,
       r.lane, r.lanes_above, r.parent_group, r.control, r.cuts, r.attributes, r.deadline_at
FROM holdfast.running AS g
CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.uid = g.run OFFSET 0) AS r
WHERE g.worker = $1 AND g.claim_id = $2
ORDER BY r.rank, r.uid

-- First the lowest ranks over all kinds are looked up without a lock, which tells how many of each kind
-- to take; then so many of each are locked. Locking before the cut would keep other workers from rows
-- that are not taken.
-- name: claim
WITH served AS MATERIALIZED (
    SELECT * FROM unnest($1::holdfast.served_row[]) WITH ORDINALITY
        AS s (queue, workflow, version, protocol, low, i)
), shares AS MATERIALIZED (
    SELECT i, count(*) AS share FROM (
        SELECT s.i FROM served AS s CROSS JOIN LATERAL (
            SELECT y.rank, y.run FROM holdfast.ready AS y
            WHERE y.queue = s.queue AND y.workflow = s.workflow AND y.version = s.version
              AND y.protocol = s.protocol AND y.rank >= s.low
            ORDER BY y.rank, y.run LIMIT $2
        ) AS y
        ORDER BY y.rank, y.run LIMIT $2
    ) AS head GROUP BY i
), picked AS MATERIALIZED (
    SELECT s.i, y.* FROM shares CROSS JOIN LATERAL (SELECT * FROM served WHERE i = shares.i OFFSET 0) AS s
    CROSS JOIN LATERAL (
        SELECT y.ctid AS place, y.rank, y.run, y.fresh FROM holdfast.ready AS y
        WHERE y.queue = s.queue AND y.workflow = s.workflow AND y.version = s.version
          AND y.protocol = s.protocol AND y.rank >= s.low
        ORDER BY y.rank, y.run LIMIT shares.share FOR UPDATE SKIP LOCKED
    ) AS y
), gone AS (
    DELETE FROM holdfast.ready WHERE ctid = ANY (ARRAY(SELECT place FROM picked))
), token AS MATERIALIZED (
    SELECT nextval('holdfast.epochs') AS epoch
), taken AS (
    INSERT INTO holdfast.running (run, worker, epoch, claim_id, claimed_at, fresh)
    SELECT run, $3, (SELECT epoch FROM token), $4, (SELECT holdfast.now_us()), fresh FROM picked
)
SELECT p.i::integer - 1, p.rank,
       r.uid, r.tenant, r.id, r.workflow, r.version, r.protocol, r.queue, r.priority, r.rank, r.generation,
       r.rescues, r.input, r.parent_uid, r.parent_position, r.parent_generation, r.created_at,
       (SELECT epoch FROM token), p.fresh,
       r.lane, r.lanes_above, r.parent_group, r.control, r.cuts, r.attributes, r.deadline_at
FROM picked AS p CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.uid = p.run OFFSET 0) AS r
ORDER BY p.rank, p.run

-- The same, of queues that are limited. A kind's queue gives at most so many runs; where all workers share a
-- limit, what is taken is marked with the queue, to be counted.
-- name: claim_capped
WITH served AS MATERIALIZED (
    SELECT s.*, coalesce(c.most, $2) AS most, coalesce(c.counted, false) AS counted
    FROM unnest($1::holdfast.served_row[]) WITH ORDINALITY AS s (queue, workflow, version, protocol, low, i)
    LEFT JOIN unnest($5::text[], $6::bigint[], $7::boolean[]) AS c (queue, most, counted) ON c.queue = s.queue
), shares AS MATERIALIZED (
    SELECT i, count(*) AS share FROM (
        SELECT i FROM (
            SELECT s.i, s.most, y.rank, y.run, row_number() OVER (PARTITION BY s.queue ORDER BY y.rank, y.run) AS place
            FROM served AS s CROSS JOIN LATERAL (
                SELECT y.rank, y.run FROM holdfast.ready AS y
                WHERE y.queue = s.queue AND y.workflow = s.workflow AND y.version = s.version
                  AND y.protocol = s.protocol AND y.rank >= s.low
                ORDER BY y.rank, y.run LIMIT least(s.most, $2)
            ) AS y
        ) AS placed
        WHERE place <= most ORDER BY rank, run LIMIT $2
    ) AS head GROUP BY i
), picked AS MATERIALIZED (
    SELECT s.i, CASE WHEN s.counted THEN s.queue END AS queue, y.* FROM shares CROSS JOIN LATERAL (SELECT * FROM served WHERE i = shares.i OFFSET 0) AS s
    CROSS JOIN LATERAL (
        SELECT y.ctid AS place, y.rank, y.run, y.fresh FROM holdfast.ready AS y
        WHERE y.queue = s.queue AND y.workflow = s.workflow AND y.version = s.version
          AND y.protocol = s.protocol AND y.rank >= s.low
        ORDER BY y.rank, y.run LIMIT shares.share FOR UPDATE SKIP LOCKED
    ) AS y
), gone AS (
    DELETE FROM holdfast.ready WHERE ctid = ANY (ARRAY(SELECT place FROM picked))
), token AS MATERIALIZED (
    SELECT nextval('holdfast.epochs') AS epoch
), taken AS (
    INSERT INTO holdfast.running (run, worker, epoch, claim_id, claimed_at, fresh, queue)
    SELECT run, $3, (SELECT epoch FROM token), $4, (SELECT holdfast.now_us()), fresh, queue FROM picked
)
SELECT p.i::integer - 1, p.rank,
       r.uid, r.tenant, r.id, r.workflow, r.version, r.protocol, r.queue, r.priority, r.rank, r.generation,
       r.rescues, r.input, r.parent_uid, r.parent_position, r.parent_generation, r.created_at,
       (SELECT epoch FROM token), p.fresh,
       r.lane, r.lanes_above, r.parent_group, r.control, r.cuts, r.attributes, r.deadline_at
FROM picked AS p CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.uid = p.run OFFSET 0) AS r
ORDER BY p.rank, p.run

-- name: lock_queues
SELECT FROM holdfast.queues WHERE name = ANY ($1::text[]) ORDER BY name FOR UPDATE

-- name: count_executing
SELECT v.queue, (SELECT count(*) FROM holdfast.running AS g WHERE g.queue = v.queue)
FROM unnest($1::text[]) AS v (queue)
