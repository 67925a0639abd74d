-- Changes that somebody made. They are written at the end of a batch, in its transaction, and never changed.
--
-- A page of them is read from the newest end of an index. Where they are looked for by action, the actions that
-- there are, a few dozen, are found by jumping from one to the next along the index, and of each the newest are
-- read.
-- Locks: nothing but the new rows, in order of tenant and uid.

-- name: insert_audits
INSERT INTO holdfast.audit (uid, tenant, actor, action, target, detail, at)
SELECT * FROM unnest($1::holdfast.audit_row[]) ON CONFLICT DO NOTHING

-- name: newest
SELECT uid, tenant, actor, action, target, detail, at FROM holdfast.audit
WHERE tenant = $1 AND uid < $2 ORDER BY uid DESC LIMIT $3

-- name: of_action
WITH RECURSIVE kinds (action) AS (
    (SELECT action FROM holdfast.audit WHERE tenant = $1 AND action >= $4 ORDER BY action LIMIT 1)
    UNION ALL
    SELECT n.action FROM kinds AS k CROSS JOIN LATERAL (
        SELECT action FROM holdfast.audit WHERE tenant = $1 AND action > k.action ORDER BY action LIMIT 1
    ) AS n
    WHERE starts_with(k.action, $4)
)
SELECT a.* FROM kinds AS k CROSS JOIN LATERAL (
    SELECT uid, tenant, actor, action, target, detail, at FROM holdfast.audit
    WHERE tenant = $1 AND action = k.action AND uid < $2 ORDER BY uid DESC LIMIT $3
) AS a
WHERE starts_with(k.action, $4) ORDER BY a.uid DESC LIMIT $3

-- name: of_actor
WITH RECURSIVE kinds (action) AS (
    (SELECT action FROM holdfast.audit WHERE tenant = $1 AND actor = $5 AND action >= $4 ORDER BY action LIMIT 1)
    UNION ALL
    SELECT n.action FROM kinds AS k CROSS JOIN LATERAL (
        SELECT action FROM holdfast.audit WHERE tenant = $1 AND actor = $5 AND action > k.action ORDER BY action LIMIT 1
    ) AS n
    WHERE starts_with(k.action, $4)
)
SELECT a.* FROM kinds AS k CROSS JOIN LATERAL (
    SELECT uid, tenant, actor, action, target, detail, at FROM holdfast.audit
    WHERE tenant = $1 AND actor = $5 AND action = k.action AND uid < $2 ORDER BY uid DESC LIMIT $3
) AS a
WHERE starts_with(k.action, $4) ORDER BY a.uid DESC LIMIT $3

-- name: of_target
WITH RECURSIVE kinds (action) AS (
    (SELECT action FROM holdfast.audit WHERE tenant = $1 AND target = $5 AND action >= $4 ORDER BY action LIMIT 1)
    UNION ALL
    SELECT n.action FROM kinds AS k CROSS JOIN LATERAL (
        SELECT action FROM holdfast.audit
        WHERE tenant = $1 AND target = $5 AND action > k.action ORDER BY action LIMIT 1
    ) AS n
    WHERE starts_with(k.action, $4)
)
SELECT a.* FROM kinds AS k CROSS JOIN LATERAL (
    SELECT uid, tenant, actor, action, target, detail, at FROM holdfast.audit
    WHERE tenant = $1 AND target = $5 AND action = k.action AND uid < $2 AND ($6::text IS NULL OR actor = $6)
    ORDER BY uid DESC LIMIT $3
) AS a
WHERE starts_with(k.action, $4) ORDER BY a.uid DESC LIMIT $3
