-- People, and the searches that they keep. Each verb is one BEGIN IMMEDIATE … COMMIT: unlike on PostgreSQL
-- nobody takes an address between the look whether it is free and the change.
--
-- Guarantees: a change is stored only on top of the revision that it was made from; an address is one
-- person's of a tenant; of who is deleted, nobody is signed in.

-- name: insert_user
INSERT INTO users (tenant, id, email, password, document, created_at, revision) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- OR IGNORE leaves a person unchanged whose new address is another's.
-- name: update_user
UPDATE OR IGNORE users SET email = ?3, password = ?4, document = ?5, created_at = ?6, revision = ?7
WHERE tenant = ?1 AND id = ?2 AND revision = ?7 - 1

-- name: delete_user
DELETE FROM users WHERE tenant = ? AND id = ?

-- name: delete_sessions
DELETE FROM sessions WHERE tenant = ? AND person = ?

-- name: delete_views
DELETE FROM views WHERE tenant = ? AND owner = ?

-- name: users
SELECT tenant, id, email, password, document, created_at, revision FROM users
WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?

-- name: user_by_id
SELECT tenant, id, email, password, document, created_at, revision FROM users WHERE tenant = ? AND id = ?

-- name: user_by_email
SELECT tenant, id, email, password, document, created_at, revision FROM users
WHERE tenant = ? AND email = ? AND email IS NOT NULL

-- name: put_view
INSERT INTO views (tenant, owner, page, name, query) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (tenant, owner, page, name) DO UPDATE SET query = excluded.query

-- name: delete_view
DELETE FROM views WHERE tenant = ? AND owner = ? AND page = ? AND name = ?

-- name: views
SELECT tenant, owner, page, name, query FROM views WHERE tenant = ? AND owner = ? AND page = ? ORDER BY name
