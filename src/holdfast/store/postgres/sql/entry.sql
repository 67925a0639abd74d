-- Who may come in: keys, sessions, and failed tries.
--
-- Guarantees: a prefix is one key's over all tenants; a key that was revoked stays so; of tries at once, each
-- is counted.
-- Locks: the row. Those of several keys in order of prefix: unlike SQLite's, writers do not take turns, so the
-- uses of keys are noted one row after another.

-- name: insert_key
INSERT INTO holdfast.keys (prefix, tenant, digest, name, role, created_by, created_at, expires_at, revoked_at, used_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING

-- name: find_key
SELECT prefix, tenant, digest, name, role, created_by, created_at, expires_at, revoked_at, used_at FROM holdfast.keys
WHERE prefix = $1

-- name: keys
SELECT prefix, tenant, digest, name, role, created_by, created_at, expires_at, revoked_at, used_at FROM holdfast.keys
WHERE tenant = $1 AND prefix > $2 AND prefix >= $3 AND prefix < $4 ORDER BY prefix LIMIT $5

-- name: revoke_key
UPDATE holdfast.keys SET revoked_at = coalesce(revoked_at, $3) WHERE tenant = $1 AND prefix = $2

-- name: use_keys
UPDATE holdfast.keys AS k SET used_at = greatest(k.used_at, v.at)
FROM (SELECT * FROM unnest($1::text[], $2::bigint[]) AS v (prefix, at) ORDER BY prefix) AS v
WHERE k.prefix BETWEEN v.prefix AND v.prefix

-- name: insert_session
INSERT INTO holdfast.sessions (digest, tenant, person, document, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING

-- name: find_session
SELECT digest, tenant, person, document, created_at, expires_at FROM holdfast.sessions
WHERE digest = $1 AND expires_at > (SELECT holdfast.now_us())

-- name: end_session
DELETE FROM holdfast.sessions WHERE digest = $1

-- name: count_failure
INSERT INTO holdfast.failures AS f (key, tries, expires_at)
SELECT $1, 1, now_us + $2 FROM (SELECT holdfast.now_us() AS now_us OFFSET 0) AS clock
ON CONFLICT (key) DO UPDATE
SET tries = CASE WHEN f.expires_at > excluded.expires_at - $2 THEN f.tries + 1 ELSE 1 END,
    expires_at = CASE WHEN f.expires_at > excluded.expires_at - $2 THEN f.expires_at ELSE excluded.expires_at END
RETURNING tries

-- name: clear_failures
DELETE FROM holdfast.failures WHERE key = $1
