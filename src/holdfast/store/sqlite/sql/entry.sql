-- Who may come in: keys, sessions, and failed tries. Each verb is one BEGIN IMMEDIATE … COMMIT.
--
-- Guarantees: a prefix is one key's over all tenants; a key that was revoked stays so; of tries at once, each
-- is counted.

-- name: insert_key
INSERT INTO keys (prefix, tenant, digest, name, role, created_by, created_at, expires_at, revoked_at, used_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: find_key
SELECT prefix, tenant, digest, name, role, created_by, created_at, expires_at, revoked_at, used_at FROM keys
WHERE prefix = ?

-- name: keys
SELECT prefix, tenant, digest, name, role, created_by, created_at, expires_at, revoked_at, used_at FROM keys
WHERE tenant = ? AND prefix > ? AND prefix >= ? AND prefix < ? ORDER BY prefix LIMIT ?

-- name: revoke_key
UPDATE keys SET revoked_at = coalesce(revoked_at, ?) WHERE tenant = ? AND prefix = ?

-- name: use_keys
UPDATE keys SET used_at = max(coalesce(used_at, 0), v.column2)
FROM (VALUES /*rows*/ (?, ?)) AS v WHERE keys.prefix = v.column1

-- name: insert_session
INSERT INTO sessions (digest, tenant, person, document, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- name: find_session
SELECT digest, tenant, person, document, created_at, expires_at FROM sessions
WHERE digest = ? AND expires_at > (SELECT holdfast_now_us() + offset_us FROM clock)

-- name: end_session
DELETE FROM sessions WHERE digest = ?

-- name: count_failure
INSERT INTO failures (key, tries, expires_at)
SELECT ?1, 1, holdfast_now_us() + offset_us + ?2 FROM clock WHERE true
ON CONFLICT (key) DO UPDATE
SET tries = CASE WHEN expires_at > excluded.expires_at - ?2 THEN tries + 1 ELSE 1 END,
    expires_at = CASE WHEN expires_at > excluded.expires_at - ?2 THEN expires_at ELSE excluded.expires_at END
RETURNING tries

-- name: clear_failures
DELETE FROM failures WHERE key = ?
