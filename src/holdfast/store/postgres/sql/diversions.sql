-- Starts that made no run of their own at once: what is read of them, and what is deleted when it was kept long enough.
-- Locks: what is deleted, and what is in use is passed over.
--
-- Each list finds its rows in order, by the index of its first conditions: a page of many costs no more than one of
-- few.

-- name: of_id
SELECT uid, tenant, id, workflow, version, way, rule, key, run_id, reason, NULL, at, due_at
FROM holdfast.diversions
WHERE tenant = $1 AND uid < $3 AND id = $9
  AND ($4::text IS NULL OR workflow = $4) AND ($5::text IS NULL OR key = $5)
  AND ($6::text IS NULL OR way = $6) AND ($7::text IS NULL OR rule = $7)
  AND ($8::text IS NULL OR run_id = $8) AND ($9::text IS NULL OR id = $9)
ORDER BY uid DESC LIMIT $2

-- name: of_run
SELECT uid, tenant, id, workflow, version, way, rule, key, run_id, reason, NULL, at, due_at
FROM holdfast.diversions
WHERE tenant = $1 AND uid < $3 AND run_id = $8 AND run_id <> ''
  AND ($4::text IS NULL OR workflow = $4) AND ($5::text IS NULL OR key = $5)
  AND ($6::text IS NULL OR way = $6) AND ($7::text IS NULL OR rule = $7)
  AND ($8::text IS NULL OR run_id = $8) AND ($9::text IS NULL OR id = $9)
ORDER BY uid DESC LIMIT $2

-- name: of_key
SELECT uid, tenant, id, workflow, version, way, rule, key, run_id, reason, NULL, at, due_at
FROM holdfast.diversions
WHERE tenant = $1 AND uid < $3 AND key = $5 AND key <> ''
  AND ($4::text IS NULL OR workflow = $4) AND ($5::text IS NULL OR key = $5)
  AND ($6::text IS NULL OR way = $6) AND ($7::text IS NULL OR rule = $7)
  AND ($8::text IS NULL OR run_id = $8) AND ($9::text IS NULL OR id = $9)
ORDER BY uid DESC LIMIT $2

-- name: of_workflow
SELECT uid, tenant, id, workflow, version, way, rule, key, run_id, reason, NULL, at, due_at
FROM holdfast.diversions
WHERE tenant = $1 AND uid < $3 AND workflow = $4
  AND ($4::text IS NULL OR workflow = $4) AND ($5::text IS NULL OR key = $5)
  AND ($6::text IS NULL OR way = $6) AND ($7::text IS NULL OR rule = $7)
  AND ($8::text IS NULL OR run_id = $8) AND ($9::text IS NULL OR id = $9)
ORDER BY uid DESC LIMIT $2

-- name: of_tenant
SELECT uid, tenant, id, workflow, version, way, rule, key, run_id, reason, NULL, at, due_at
FROM holdfast.diversions
WHERE tenant = $1 AND uid < $3 
  AND ($4::text IS NULL OR workflow = $4) AND ($5::text IS NULL OR key = $5)
  AND ($6::text IS NULL OR way = $6) AND ($7::text IS NULL OR rule = $7)
  AND ($8::text IS NULL OR run_id = $8) AND ($9::text IS NULL OR id = $9)
ORDER BY uid DESC LIMIT $2

-- name: find
SELECT uid, tenant, id, workflow, version, way, rule, key, run_id, reason, input, at, due_at, options
FROM holdfast.diversions WHERE uid = $1 AND tenant = $2

-- name: delete_old
DELETE FROM holdfast.diversions WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM holdfast.diversions WHERE at < (SELECT holdfast.now_us()) - $1::bigint ORDER BY at LIMIT $2
    FOR UPDATE SKIP LOCKED
))

-- A limit is over when no start counts any more, and no run waits for it. Of so many rows from a place on.
-- name: delete_limits
DELETE FROM holdfast.start_limits WHERE ctid = ANY (ARRAY(
    SELECT l.ctid FROM (SELECT id FROM holdfast.start_limits WHERE id >= $1 ORDER BY id LIMIT $2) AS v
    CROSS JOIN LATERAL (
        SELECT l.ctid FROM holdfast.start_limits AS l
        WHERE l.id = v.id AND l.over_at <= (SELECT holdfast.now_us())
          AND NOT EXISTS (SELECT FROM holdfast.parked AS p WHERE p.rate = l.id)
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
