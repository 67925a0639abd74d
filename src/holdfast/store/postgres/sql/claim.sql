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

-- Those that have a lane do not get ready here; they join it later in the batch. Those that have a limit or a rule are
-- promoted by start_rules.sql.
-- name: promote
WITH gone AS (
    DELETE FROM holdfast.parked WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM holdfast.parked
        WHERE wake_at >= $2 AND wake_at <= (SELECT holdfast.now_us()) AND rate IS NULL AND gather IS NULL
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
SELECT (
    SELECT wake_at FROM holdfast.parked
    WHERE wake_at >= $1 AND rate IS NULL AND gather IS NULL ORDER BY wake_at, run LIMIT 1
), (
    SELECT wake_at FROM holdfast.parked
    WHERE wake_at >= $2 AND (rate IS NOT NULL OR gather IS NOT NULL) ORDER BY wake_at, run LIMIT 1
)

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

-- The same of places, of each at most so many runs over all kinds; what is taken of those that are counted is marked.
-- name: take
WITH shares AS MATERIALIZED (
    SELECT i, queue, workflow, version, protocol, low, counted, count(*) AS share FROM (
        SELECT s.*, row_number() OVER (PARTITION BY s.place ORDER BY y.rank, y.run) AS number
        FROM ROWS FROM (
            unnest($1::holdfast.served_row[]), unnest($4::integer[]), unnest($5::bigint[]), unnest($6::boolean[])
        ) WITH ORDINALITY AS s (queue, workflow, version, protocol, low, place, most, counted, i)
        CROSS JOIN LATERAL (
            SELECT y.rank, y.run FROM holdfast.ready AS y
            WHERE y.queue = s.queue AND y.workflow = s.workflow AND y.version = s.version
              AND y.protocol = s.protocol AND y.rank >= s.low
            ORDER BY y.rank, y.run LIMIT s.most
        ) AS y
    ) AS head
    WHERE number <= most GROUP BY i, queue, workflow, version, protocol, low, counted
), picked AS MATERIALIZED (
    SELECT s.i, CASE WHEN s.counted THEN s.queue END AS queue, y.* FROM shares AS s CROSS JOIN LATERAL (
        SELECT y.ctid AS place, y.rank, y.run, y.fresh FROM holdfast.ready AS y
        WHERE y.queue = s.queue AND y.workflow = s.workflow AND y.version = s.version
          AND y.protocol = s.protocol AND y.rank >= s.low
        ORDER BY y.rank, y.run LIMIT s.share FOR UPDATE SKIP LOCKED
    ) AS y
), gone AS (
    DELETE FROM holdfast.ready WHERE ctid = ANY (ARRAY(SELECT place FROM picked))
), token AS MATERIALIZED (
    SELECT nextval('holdfast.epochs') AS epoch
), taken AS (
    INSERT INTO holdfast.running (run, worker, epoch, claim_id, claimed_at, fresh, queue)
    SELECT run, $2, (SELECT epoch FROM token), $3, (SELECT holdfast.now_us()), fresh, queue FROM picked
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
    + (SELECT count(*) FROM holdfast.running AS g WHERE g.queue >= v.queue || chr(31) AND g.queue < v.queue || chr(32))
FROM unnest($1::text[]) AS v (queue)

-- name: count_places
SELECT v.queue, (SELECT count(*) FROM holdfast.running AS g WHERE g.queue = v.queue)
FROM unnest($1::text[]) AS v (queue)

-- Places in ranges of names, by skipping from one to the next along the key: one look into the index for each,
-- however many runs wait there. Of a line at most so many of the kinds that are served, and $8 of all; for a line of
-- tenants the first place of each, of whatever kind. A line's ranges are gone through one after the other, the next
-- one only while too little was found. A range is never one in which the caller knows of many dead entries.
-- name: look
WITH kinds AS MATERIALIZED (
    SELECT queue, workflow, version, protocol FROM unnest($7::holdfast.served_row[])
)
SELECT r.line, n.queue, n.served
FROM (
    SELECT r.line, array_agg(r.first ORDER BY r.i) AS firsts, array_agg(r.below ORDER BY r.i) AS belows
    FROM unnest($1::integer[], $2::text[], $3::text[]) WITH ORDINALITY AS r (line, first, below, i) GROUP BY r.line
) AS r
JOIN unnest($4::integer[], $5::boolean[], $6::text[]) WITH ORDINALITY AS l (most, tenants, queue, i) ON l.i - 1 = r.line
CROSS JOIN LATERAL (
    WITH RECURSIVE names (range, queue, served, found) AS (
        SELECT 1, NULL::text COLLATE "C", false, 0
        UNION ALL
        SELECT CASE WHEN y.queue IS NULL THEN k.range + 1 ELSE k.range END, y.queue, y.served,
               k.found + coalesce(y.served::integer, 0)
        FROM names AS k LEFT JOIN LATERAL (
            SELECT y.queue, l.tenants OR EXISTS (
                SELECT FROM kinds AS d
                WHERE d.queue = l.queue AND d.workflow = y.workflow AND d.version = y.version AND d.protocol = y.protocol
            ) OR EXISTS (
                SELECT FROM kinds AS d CROSS JOIN LATERAL (
                    SELECT FROM holdfast.ready AS o
                    WHERE o.queue = y.queue AND o.workflow = d.workflow AND o.version = d.version
                      AND o.protocol = d.protocol LIMIT 1
                ) AS o
                WHERE d.queue = l.queue
            ) AS served
            FROM (
                SELECT y.queue, y.workflow, y.version, y.protocol FROM holdfast.ready AS y
                WHERE y.queue >= CASE WHEN k.queue IS NULL THEN r.firsts[k.range]
                        WHEN l.tenants AND position(chr(31) IN k.queue) > 0
                        THEN split_part(k.queue, chr(31), 1) || chr(31) || split_part(k.queue, chr(31), 2) || chr(32)
                        ELSE k.queue || chr(1) END
                    AND y.queue < r.belows[k.range]
                ORDER BY y.queue, y.workflow, y.version, y.protocol LIMIT 1
            ) AS y OFFSET 0
        ) AS y ON true
        WHERE k.found < l.most AND k.range <= cardinality(r.firsts)
    )
    SELECT queue, served FROM names WHERE queue IS NOT NULL LIMIT $8
) AS n
