-- Starts that made no run of their own at once: what is read of them, and what is deleted when it was kept long enough.
-- Locks: what is deleted, and what is in use is passed over.
--
-- Each list finds its rows in order, by the index of its first conditions, and looks through them for what else is
-- asked.

-- name: of_id
SELECT tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us,
       number, due_at, NULL, NULL
FROM holdfast.diversions
WHERE tenant = $1 AND uid < $3 AND id = $9
  AND ($4::text IS NULL OR workflow = $4) AND ($5::text IS NULL OR key = $5)
  AND ($6::text IS NULL OR way = $6) AND ($7::text IS NULL OR rule = $7)
  AND ($8::bytea IS NULL OR coalesce(run, CASE way WHEN 'delayed' THEN uid ELSE '' END) = $8)
  AND ($9::text IS NULL OR coalesce(id, encode(uid, 'hex')) = $9)
ORDER BY uid DESC LIMIT $2

-- name: of_uid
SELECT tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us,
       number, due_at, NULL, NULL
FROM holdfast.diversions
WHERE tenant = $1 AND uid < $3 AND uid = $10
  AND ($4::text IS NULL OR workflow = $4) AND ($5::text IS NULL OR key = $5)
  AND ($6::text IS NULL OR way = $6) AND ($7::text IS NULL OR rule = $7)
  AND ($8::bytea IS NULL OR coalesce(run, CASE way WHEN 'delayed' THEN uid ELSE '' END) = $8)
  AND ($9::text IS NULL OR coalesce(id, encode(uid, 'hex')) = $9)
ORDER BY uid DESC LIMIT $2

-- name: of_run
SELECT tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us,
       number, due_at, NULL, NULL
FROM holdfast.diversions
WHERE tenant = $1 AND run = $8 AND uid < $3
  AND ($4::text IS NULL OR workflow = $4) AND ($5::text IS NULL OR key = $5)
  AND ($6::text IS NULL OR way = $6) AND ($7::text IS NULL OR rule = $7)
  AND ($8::bytea IS NULL OR coalesce(run, CASE way WHEN 'delayed' THEN uid ELSE '' END) = $8)
  AND ($9::text IS NULL OR coalesce(id, encode(uid, 'hex')) = $9)
ORDER BY uid DESC LIMIT $2

-- name: of_workflow
SELECT tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us,
       number, due_at, NULL, NULL
FROM holdfast.diversions
WHERE tenant = $1 AND uid < $3 AND workflow = $4 AND workflow <> ''
  AND ($4::text IS NULL OR workflow = $4) AND ($5::text IS NULL OR key = $5)
  AND ($6::text IS NULL OR way = $6) AND ($7::text IS NULL OR rule = $7)
  AND ($8::bytea IS NULL OR coalesce(run, CASE way WHEN 'delayed' THEN uid ELSE '' END) = $8)
  AND ($9::text IS NULL OR coalesce(id, encode(uid, 'hex')) = $9)
ORDER BY uid DESC LIMIT $2

-- name: of_tenant
SELECT tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us,
       number, due_at, NULL, NULL
FROM holdfast.diversions
WHERE tenant = $1 AND uid < $3
  AND ($4::text IS NULL OR workflow = $4) AND ($5::text IS NULL OR key = $5)
  AND ($6::text IS NULL OR way = $6) AND ($7::text IS NULL OR rule = $7)
  AND ($8::bytea IS NULL OR coalesce(run, CASE way WHEN 'delayed' THEN uid ELSE '' END) = $8)
  AND ($9::text IS NULL OR coalesce(id, encode(uid, 'hex')) = $9)
ORDER BY uid DESC LIMIT $2

-- name: find
SELECT tenant, uid, id, workflow, version, way, rule, mode, key, run, run_id, most, span_us,
       number, due_at, input, options
FROM holdfast.diversions WHERE tenant = $1 AND uid = $2

-- name: run_of
SELECT uid FROM holdfast.runs WHERE tenant = $1 AND id = $2

-- Of each tenant the oldest ones that are old enough, and that no run is to be made of.
-- name: delete_old
WITH RECURSIVE tenants AS (
    (SELECT tenant FROM holdfast.diversions ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT d.tenant FROM holdfast.diversions AS d WHERE d.tenant > t.tenant ORDER BY d.tenant LIMIT 1)
    FROM tenants AS t WHERE t.tenant IS NOT NULL
)
DELETE FROM holdfast.diversions WHERE ctid = ANY (ARRAY(
    SELECT o.ctid FROM tenants AS t CROSS JOIN LATERAL (
        SELECT d.ctid FROM holdfast.diversions AS d
        WHERE d.tenant = t.tenant AND d.uid < $1
          AND NOT EXISTS (SELECT FROM holdfast.parked AS p WHERE p.run = d.run AND p.gather IS NOT NULL OFFSET 0)
        ORDER BY d.uid LIMIT $2 FOR UPDATE OF d SKIP LOCKED
    ) AS o
    WHERE t.tenant IS NOT NULL LIMIT $2
))

-- A limit is over when no start counts any more, and no run waits for it: none that waits is due before it is over, and
-- nothing is deleted while some are due that were not let through. Of so many rows from a place on.
-- name: delete_limits
DELETE FROM holdfast.start_limits WHERE ctid = ANY (ARRAY(
    SELECT l.ctid FROM (SELECT id FROM holdfast.start_limits WHERE id >= $1 ORDER BY id LIMIT $2) AS v
    CROSS JOIN LATERAL (
        SELECT l.ctid FROM holdfast.start_limits AS l
        WHERE l.id = v.id AND l.over_at <= (SELECT holdfast.now_us())
          AND NOT (SELECT EXISTS (
              SELECT FROM holdfast.parked AS p
              WHERE (p.rate IS NOT NULL OR p.gather IS NOT NULL) AND p.wake_at <= (SELECT holdfast.now_us())
          ))
        FOR UPDATE SKIP LOCKED
    ) AS l
))

-- name: delete_gathers
DELETE FROM holdfast.gathers WHERE ctid = ANY (ARRAY(
    SELECT g.ctid FROM (SELECT id FROM holdfast.gathers WHERE id >= $1 ORDER BY id LIMIT $2) AS v
    CROSS JOIN LATERAL (
        SELECT g.ctid FROM holdfast.gathers AS g
        WHERE g.id = v.id AND g.due_at <= (SELECT holdfast.now_us())
          AND NOT EXISTS (SELECT FROM holdfast.runs AS r WHERE r.uid = g.run AND r.status IN ('open', 'held'))
        FOR UPDATE SKIP LOCKED
    ) AS g
))
