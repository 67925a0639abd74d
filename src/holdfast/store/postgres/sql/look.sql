-- Runs as people look at them, and what the live tables say of them; read-only, see read.sql.
--
-- A search begins where few runs are found that do not meet it: at the index of an attribute, at those that
-- are failed, cancelled or held, at those that execute or wait, else at the newest run of the tenant; each of
-- these is read from its newest end. What is counted is counted up to a cap, and where a table may be large the
-- kinds in it are found by jumping from one to the next along its key. A search's condition is computed for each
-- run in a SELECT of its own: in WHERE the planner would make joins of its parts.
--
-- A plan is kept while tables grow, until they are looked at anew: one that was made for few rows must be good for many.
-- So no lookup is given a column more than its index wants, which another index could be taken for; the tenant of a
-- run that was found by its uid is compared outside, and so is its status, always true, which the tenant's index lacks.

-- What stands in /*…*/ is replaced by another of these statements, or by the search as a condition on r.
-- name: rows
WITH found (uid) AS MATERIALIZED (/*found*/)
SELECT r.uid, r.tenant, r.id, r.workflow, r.version, r.queue, r.priority,
       CASE WHEN r.status <> 'open' THEN r.status WHEN g.run IS NOT NULL THEN 'running'
            WHEN p.epoch > 0 THEN 'waiting' ELSE 'queued' END,
       r.generation, r.input, r.output, r.attributes, parent.id, r.rescues, g.worker,
       r.created_at, coalesce(r.started_at, g.claimed_at), r.finished_at, coalesce(p.wake_at, r.due_at),
       r.deadline_at, r.control, r.cuts, r.failed_seq, source.id, r.forked_seq, forks.ids,
       r.lane, r.lane_name, r.lane_key, progress.text, r.parent_position
FROM found AS v
CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.uid = v.uid OFFSET 0) AS r
LEFT JOIN LATERAL (SELECT * FROM holdfast.running AS g WHERE g.run = r.uid OFFSET 0) AS g ON true
LEFT JOIN LATERAL (SELECT * FROM holdfast.parked AS p WHERE p.run = r.uid OFFSET 0) AS p ON true
LEFT JOIN LATERAL (SELECT id FROM holdfast.runs AS u WHERE u.uid = r.parent_uid OFFSET 0) AS parent ON true
LEFT JOIN LATERAL (SELECT id FROM holdfast.runs AS u WHERE u.uid = r.forked_from OFFSET 0) AS source ON true
LEFT JOIN LATERAL (
    SELECT string_agg(f.id, chr(31) ORDER BY f.uid) AS ids FROM (
        SELECT f.id, f.uid FROM holdfast.runs AS f WHERE f.forked_from = r.uid LIMIT 20
    ) AS f
) AS forks ON true
LEFT JOIN LATERAL (
    SELECT json_build_object('current', s.current, 'total', s.total, 'note', s.note, 'at', s.at)::text AS text
    FROM holdfast.progress AS s WHERE s.run = r.uid OFFSET 0
) AS progress ON true
ORDER BY r.uid DESC

-- name: by_id
SELECT r.uid FROM unnest($2::text[]) AS v (id)
CROSS JOIN LATERAL (SELECT uid FROM holdfast.runs AS r WHERE r.tenant = $1 AND r.id = v.id OFFSET 0) AS r

-- The newest runs of the tenant, whatever they are.
-- name: newest
SELECT s.run FROM (/*begin*/ OFFSET 0) AS s ORDER BY s.run DESC LIMIT $3

-- name: search
SELECT r.uid FROM (/*begin*/ OFFSET 0) AS s
CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.uid = s.run OFFSET 0) AS r
CROSS JOIN LATERAL (SELECT /*test*/ AS met OFFSET 0) AS t
WHERE t.met AND r.tenant = $1 AND r.status <> '' ORDER BY s.run DESC LIMIT $3

-- What a search would find, in no order.
-- name: count
SELECT count(*) FROM (
    SELECT FROM (/*begin*/ OFFSET 0) AS s
    CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.uid = s.run OFFSET 0) AS r
    CROSS JOIN LATERAL (SELECT /*test*/ AS met OFFSET 0) AS t
    WHERE t.met AND r.tenant = $1 AND r.status <> '' LIMIT $3
) AS found

-- Where queued runs are, in no order: for counting only.
-- name: from_queued
SELECT run FROM holdfast.ready WHERE run < $2 UNION ALL SELECT run FROM holdfast.members WHERE since IS NULL AND run < $2
UNION ALL SELECT run FROM holdfast.parked WHERE epoch = 0 AND run < $2

-- What has ended is rather among the old, behind which a long queue may stand: for counting only.
-- name: from_oldest
SELECT uid AS run FROM holdfast.runs WHERE tenant = $1 AND uid < $2 AND (tenant, uid) < ($1, $2) ORDER BY uid

-- Where searches begin: runs of the tenant $1 before $2, newest first. Their uids are said twice: of a table with few
-- runs, or one tenant, the planner takes the index of all uids to be as good as that of the tenant's, and a pair tips it.
-- name: from_runs
SELECT uid AS run FROM holdfast.runs WHERE tenant = $1 AND uid < $2 AND (tenant, uid) < ($1, $2) ORDER BY uid DESC

-- name: from_texts
SELECT run FROM holdfast.attributes WHERE tenant = $1 AND name = $4 AND text = $5 AND run < $2 ORDER BY run DESC

-- name: from_numbers
SELECT run FROM holdfast.attributes WHERE tenant = $1 AND name = $4 AND number = $5 AND run < $2 ORDER BY run DESC

-- name: from_troubled
SELECT run FROM holdfast.troubled WHERE tenant = $1 AND status = $4 AND run < $2 ORDER BY run DESC

-- name: from_running
SELECT run FROM holdfast.running WHERE run < $2 ORDER BY run DESC

-- name: from_parked
SELECT run FROM holdfast.parked WHERE run < $2 ORDER BY run DESC

-- name: place
SELECT r.queue, r.workflow, r.version, r.protocol, r.rank, r.lane,
       CASE WHEN g.run IS NOT NULL THEN 'executing' WHEN p.run IS NOT NULL THEN 'parked' WHEN y.run IS NOT NULL THEN 'ready'
            WHEN m.run IS NOT NULL THEN 'lane' ELSE 'nowhere' END,
       p.wake_at, coalesce(p.wanted, 0), w.beat_at, g.claimed_at
FROM holdfast.runs AS r
LEFT JOIN LATERAL (SELECT * FROM holdfast.running AS g WHERE g.run = r.uid OFFSET 0) AS g ON true
LEFT JOIN LATERAL (SELECT beat_at FROM holdfast.workers AS w WHERE w.id = g.worker OFFSET 0) AS w ON true
LEFT JOIN LATERAL (SELECT * FROM holdfast.parked AS p WHERE p.run = r.uid OFFSET 0) AS p ON true
LEFT JOIN LATERAL (
    SELECT run FROM holdfast.ready AS y
    WHERE y.queue = r.queue AND y.workflow = r.workflow AND y.version = r.version AND y.protocol = r.protocol
      AND y.rank = r.rank AND y.run = r.uid OFFSET 0
) AS y ON true
LEFT JOIN LATERAL (
    SELECT run FROM holdfast.members AS m
    WHERE m.lane = r.lane AND m.rank = r.rank AND m.run = r.uid AND m.since IS NULL OFFSET 0
) AS m ON true
WHERE r.uid = $1

-- name: ahead_ready
SELECT count(*) FROM (
    SELECT FROM holdfast.ready WHERE queue = $1 AND workflow = $2 AND version = $3 AND protocol = $4 AND (rank, run) < ($5, $6)
    LIMIT 1000
) AS y

-- name: ahead_in_line
SELECT count(*) FROM (
    SELECT FROM holdfast.members WHERE lane = $1 AND (rank, run) < ($2, $3) AND since IS NULL LIMIT 1000
) AS m

-- name: lane
SELECT l.id, l.tenant, l.name, l.key, l.slots, l.held, m.waiting FROM holdfast.lanes AS l
CROSS JOIN LATERAL (
    SELECT count(*) AS waiting FROM (
        SELECT FROM holdfast.members AS m WHERE m.lane = l.id AND m.since IS NULL LIMIT 1000
    ) AS m
) AS m
WHERE l.id = $1

-- The search ends with the last holder, so that a long line behind them is not read.
-- name: holders
SELECT r.id, m.since FROM (
    SELECT run, since FROM holdfast.members WHERE lane = $1 AND since IS NOT NULL ORDER BY rank, run LIMIT $2
) AS m
CROSS JOIN LATERAL (SELECT id FROM holdfast.runs AS r WHERE r.uid = m.run OFFSET 0) AS r
ORDER BY m.since, r.id

-- name: served
SELECT count(*) FROM holdfast.workers AS w
CROSS JOIN LATERAL (
    SELECT FROM holdfast.served AS s
    WHERE s.worker = w.id AND s.queue = $1 AND s.workflow = $2 AND s.version = $3 AND s.protocol = $4 OFFSET 0
) AS s
WHERE w.expires_at > (SELECT holdfast.now_us())

-- name: waited_for
SELECT t.name, t.key, w.due_at FROM (
    SELECT * FROM holdfast.waits WHERE run = $1 AND purpose = 'wait' ORDER BY position, generation, topic LIMIT 100
) AS w
CROSS JOIN LATERAL (SELECT * FROM holdfast.topics AS t WHERE t.id = w.topic OFFSET 0) AS t
ORDER BY w.since, w.position

-- name: open_children
SELECT id FROM holdfast.runs
WHERE parent_uid = $1 AND parent_position IS NOT NULL AND status IN ('open', 'held')
ORDER BY parent_position, uid LIMIT 10

-- No row where there is no limit.
-- name: executing
SELECT CASE WHEN q.total IS NOT NULL THEN (
           SELECT count(*) FROM holdfast.running AS g
           WHERE g.queue = q.name OR (g.queue >= q.name || chr(31) AND g.queue < q.name || chr(32))
       ) END,
       CASE WHEN q.per_key IS NOT NULL THEN (SELECT count(*) FROM holdfast.running AS g WHERE g.queue = $2) END
FROM holdfast.queues AS q
WHERE q.name = $1 AND (q.total IS NOT NULL OR q.per_key IS NOT NULL)

-- How many tenants beside "default" have ready runs in a queue, up to so many; then those of its own are looked for.
-- name: tenants
WITH RECURSIVE tenants (queue) AS (
    (
        SELECT queue FROM holdfast.ready WHERE queue >= $1 || chr(31) AND queue < $1 || chr(32) ORDER BY queue LIMIT 1
    )
    UNION ALL
    SELECT n.queue FROM tenants AS k CROSS JOIN LATERAL (
        SELECT y.queue FROM holdfast.ready AS y
        WHERE y.queue >= $1 || chr(31) || split_part(k.queue, chr(31), 2) || chr(32) AND y.queue < $1 || chr(32)
        ORDER BY y.queue LIMIT 1
    ) AS n
)
SELECT split_part(queue, chr(31), 2) FROM (SELECT queue FROM tenants LIMIT $2) AS t
UNION
SELECT 'default' FROM (SELECT FROM holdfast.ready WHERE queue = $1 LIMIT 1) AS y

-- Places of a queue with how many runs are ready there, counted up to $4: of so many tenants so many keys at most.
-- name: shares
WITH RECURSIVE tenants (queue) AS (
    (
        SELECT queue FROM holdfast.ready
        WHERE queue >= $1 || chr(31) || coalesce($5 || chr(31), '') AND queue < $1 || coalesce(chr(31) || $5, '') || chr(32)
        ORDER BY queue LIMIT 1
    )
    UNION ALL
    SELECT n.queue FROM tenants AS k CROSS JOIN LATERAL (
        SELECT y.queue FROM holdfast.ready AS y
        WHERE y.queue >= $1 || chr(31) || split_part(k.queue, chr(31), 2) || chr(32)
            AND y.queue < $1 || coalesce(chr(31) || $5, '') || chr(32)
        ORDER BY y.queue LIMIT 1
    ) AS n
), places (queue) AS (
    SELECT $1::text COLLATE "C" WHERE coalesce($5, 'default') = 'default'
    UNION ALL
    SELECT p.queue FROM (SELECT queue FROM tenants LIMIT $2) AS t CROSS JOIN LATERAL (
        WITH RECURSIVE keys (queue) AS (
            SELECT t.queue
            UNION ALL
            SELECT n.queue FROM keys AS k CROSS JOIN LATERAL (
                SELECT y.queue FROM holdfast.ready AS y
                WHERE y.queue >= k.queue || chr(1)
                    AND y.queue < $1 || chr(31) || split_part(t.queue, chr(31), 2) || chr(32)
                ORDER BY y.queue LIMIT 1
            ) AS n
        )
        SELECT queue FROM keys LIMIT $3
    ) AS p
)
SELECT p.queue, y.runs FROM places AS p CROSS JOIN LATERAL (
    SELECT count(*) AS runs FROM (SELECT FROM holdfast.ready AS y WHERE y.queue = p.queue LIMIT $4) AS y
) AS y
WHERE y.runs > 0

-- What executes from a queue and its shares: what is counted, else among the newest.
-- name: executing_shares
SELECT r.queue, count(*) FROM (SELECT run FROM holdfast.running ORDER BY run DESC LIMIT 10000) AS g
CROSS JOIN LATERAL (SELECT queue FROM holdfast.runs AS r WHERE r.uid = g.run OFFSET 0) AS r
WHERE split_part(r.queue, chr(31), 1) = $1 GROUP BY r.queue

-- name: lanes
SELECT l.id, l.tenant, l.name, l.key, l.slots, l.held, m.waiting FROM (
    SELECT * FROM holdfast.lanes WHERE tenant = $1 ORDER BY name, key LIMIT $2
) AS l
CROSS JOIN LATERAL (
    SELECT count(*) AS waiting FROM (
        SELECT FROM holdfast.members AS m WHERE m.lane = l.id AND m.since IS NULL LIMIT 1000
    ) AS m
) AS m
ORDER BY l.name, l.key

-- What executes from a queue without a limit is in no index: the newest are looked at. Queues are found by jumping
-- over their shares; which run is the first, among a thousand kinds of each.
-- name: queues
WITH RECURSIVE places (queue) AS (
    (SELECT queue FROM holdfast.ready ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT n.queue FROM places AS k CROSS JOIN LATERAL (
        SELECT y.queue FROM holdfast.ready AS y
        WHERE y.queue >= CASE WHEN position(chr(31) IN k.queue) > 0 THEN split_part(k.queue, chr(31), 1) || chr(32)
                              ELSE k.queue || chr(1) END
        ORDER BY y.queue LIMIT 1
    ) AS n
), waiting (queue) AS MATERIALIZED (
    SELECT DISTINCT split_part(queue, chr(31), 1) FROM places
), firsts (queue, run) AS MATERIALIZED (
    SELECT w.queue, f.run FROM waiting AS w CROSS JOIN LATERAL (
        WITH RECURSIVE kinds (queue, workflow, version, protocol) AS (
            (
                SELECT y.queue, y.workflow, y.version, y.protocol FROM holdfast.ready AS y
                WHERE y.queue >= w.queue AND y.queue < w.queue || chr(32)
                ORDER BY y.queue, y.workflow, y.version, y.protocol LIMIT 1
            )
            UNION ALL
            SELECT n.* FROM kinds AS k CROSS JOIN LATERAL (
                SELECT y.queue, y.workflow, y.version, y.protocol FROM holdfast.ready AS y
                WHERE (y.queue, y.workflow, y.version, y.protocol) > (k.queue, k.workflow, k.version, k.protocol)
                    AND y.queue < w.queue || chr(32)
                ORDER BY y.queue, y.workflow, y.version, y.protocol LIMIT 1
            ) AS n
        )
        SELECT y.run FROM (SELECT * FROM kinds LIMIT 1000) AS k CROSS JOIN LATERAL (
            SELECT y.rank, y.run FROM holdfast.ready AS y
            WHERE y.queue = k.queue AND y.workflow = k.workflow AND y.version = k.version AND y.protocol = k.protocol
            ORDER BY y.rank, y.run LIMIT 1
        ) AS y
        WHERE split_part(k.queue, chr(31), 1) = w.queue
        ORDER BY y.rank, y.run LIMIT 1
    ) AS f
), executing (queue, runs) AS MATERIALIZED (
    SELECT split_part(r.queue, chr(31), 1), count(*)
    FROM (SELECT run FROM holdfast.running ORDER BY run DESC LIMIT 10000) AS g
    CROSS JOIN LATERAL (SELECT queue FROM holdfast.runs AS r WHERE r.uid = g.run OFFSET 0) AS r
    GROUP BY 1
), names (name) AS (
    SELECT queue FROM waiting UNION SELECT queue FROM executing UNION SELECT name FROM holdfast.queues
)
SELECT n.name, q.total, q.per_worker, coalesce(q.paused, false), q.per_key, y.runs,
       CASE WHEN q.total IS NULL AND q.per_key IS NULL THEN least(coalesce(g.runs, 0), $1) ELSE limited.runs END, r.due_at
FROM names AS n
LEFT JOIN LATERAL (SELECT * FROM holdfast.queues AS q WHERE q.name = n.name OFFSET 0) AS q ON true
LEFT JOIN executing AS g ON g.queue = n.name
LEFT JOIN firsts AS f ON f.queue = n.name
LEFT JOIN LATERAL (
    SELECT coalesce(r.due_at, r.created_at) AS due_at FROM holdfast.runs AS r WHERE r.uid = f.run OFFSET 0
) AS r ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS runs FROM (
        SELECT FROM (
            SELECT FROM holdfast.ready AS y WHERE y.queue = n.name
            UNION ALL
            SELECT FROM holdfast.ready AS y WHERE y.queue >= n.name || chr(31) AND y.queue < n.name || chr(32)
        ) AS y LIMIT $1
    ) AS y
) AS y
CROSS JOIN LATERAL (
    SELECT count(*) AS runs FROM (
        SELECT FROM (
            SELECT FROM holdfast.running AS g WHERE g.queue = q.name
            UNION ALL
            SELECT FROM holdfast.running AS g WHERE g.queue >= q.name || chr(31) AND g.queue < q.name || chr(32)
        ) AS g LIMIT $1
    ) AS g
) AS limited
ORDER BY n.name

-- Of the first ten thousand kinds.
-- name: stranded
WITH RECURSIVE kinds (queue, workflow, version, protocol) AS (
    (SELECT queue, workflow, version, protocol FROM holdfast.ready ORDER BY queue, workflow, version, protocol LIMIT 1)
    UNION ALL
    SELECT n.* FROM kinds AS k CROSS JOIN LATERAL (
        SELECT queue, workflow, version, protocol FROM holdfast.ready
        WHERE (queue, workflow, version, protocol) > (k.queue, k.workflow, k.version, k.protocol)
        ORDER BY queue, workflow, version, protocol LIMIT 1
    ) AS n
), living AS MATERIALIZED (
    SELECT id FROM holdfast.workers WHERE expires_at > (SELECT holdfast.now_us())
)
SELECT k.queue, k.workflow, k.version, y.runs FROM (SELECT * FROM kinds LIMIT 10000) AS k
CROSS JOIN LATERAL (
    SELECT count(*) AS runs FROM (
        SELECT FROM holdfast.ready AS y
        WHERE y.queue = k.queue AND y.workflow = k.workflow AND y.version = k.version AND y.protocol = k.protocol LIMIT $1
    ) AS y
) AS y
WHERE NOT EXISTS (
    SELECT FROM living AS w CROSS JOIN LATERAL (
        SELECT FROM holdfast.served AS s
        WHERE s.worker = w.id AND s.queue = split_part(k.queue, chr(31), 1) AND s.workflow = k.workflow
          AND s.version = k.version AND s.protocol = k.protocol OFFSET 0
    ) AS s
)
ORDER BY k.queue, k.workflow, k.version

-- name: children
SELECT uid, id, parent_position, status, output FROM holdfast.runs
WHERE parent_uid = $1 AND parent_position > $4 AND (NOT $2 OR status IN ('open', 'held'))
ORDER BY parent_position, uid LIMIT $3

-- name: group_children
SELECT uid, id, parent_position, status, output FROM holdfast.runs
WHERE parent_uid = $1 AND parent_position >= $3 AND parent_position < $4 AND parent_generation = $2
  AND parent_group = length($3)
ORDER BY parent_position, uid
