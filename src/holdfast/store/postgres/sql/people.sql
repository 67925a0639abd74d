-- People, and the searches that they keep.
--
-- Guarantees: a change is stored only on top of the revision that it was made from; an address is one
-- person's of a tenant; of who is deleted, nobody is signed in.
-- Locks: what stands for the address, by `lock_email`, so that of two people who take it at once the second
-- sees the first; then the person's row. Unlike SQLite, whose writers take turns, the look whether an address
-- is free is a statement of its own behind that lock.

-- name: lock_email
SELECT pg_advisory_xact_lock(hashtext('holdfast.users_email'), hashtext($1::text || chr(31) || $2::text))

-- name: insert_user
INSERT INTO holdfast.users (tenant, id, email, password, document, created_at, revision)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING

-- name: update_user
UPDATE holdfast.users SET email = $3, password = $4, document = $5, created_at = $6, revision = $7
WHERE tenant = $1 AND id = $2 AND revision = $7 - 1
  AND NOT EXISTS (SELECT FROM holdfast.users AS other WHERE other.tenant = $1 AND other.email = $3 AND other.id <> $2)

-- name: delete_user
WITH signed_in AS (
    DELETE FROM holdfast.sessions WHERE tenant = $1 AND person = $2
), kept AS (
    DELETE FROM holdfast.views WHERE tenant = $1 AND owner = $2
)
DELETE FROM holdfast.users WHERE tenant = $1 AND id = $2

-- name: users
SELECT tenant, id, email, password, document, created_at, revision FROM holdfast.users
WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3

-- name: user_by_id
SELECT tenant, id, email, password, document, created_at, revision FROM holdfast.users WHERE tenant = $1 AND id = $2

-- name: user_by_email
SELECT tenant, id, email, password, document, created_at, revision FROM holdfast.users WHERE tenant = $1 AND email = $2

-- name: put_view
INSERT INTO holdfast.views (tenant, owner, page, name, query) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant, owner, page, name) DO UPDATE SET query = excluded.query

-- name: delete_view
DELETE FROM holdfast.views WHERE tenant = $1 AND owner = $2 AND page = $3 AND name = $4

-- name: views
SELECT tenant, owner, page, name, query FROM holdfast.views
WHERE tenant = $1 AND owner = $2 AND page = $3 ORDER BY name
