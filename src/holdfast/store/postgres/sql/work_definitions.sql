-- Definitions in all their versions, and how a tenant's work queue is set up.
--
-- Guarantees: a version is stored only if it follows the newest one, and never changes; settings change on top of the
-- revision that the change was made from.
-- Locks: the version's key: of two processes that store the same version the second waits, and finds it. The row of the
-- newest version is changed by whoever stored that version.

-- name: insert_version
INSERT INTO holdfast.definition_versions (
    tenant, id, version, name, type, weight, active, demo, position, document, created_by, created_at
)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
WHERE $3 = 1 OR EXISTS (SELECT FROM holdfast.definitions WHERE tenant = $1 AND id = $2 AND version = $3 - 1)
ON CONFLICT DO NOTHING

-- name: put_newest
INSERT INTO holdfast.definitions (
    tenant, id, version, name, type, weight, active, demo, position, document, created_by, created_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (tenant, id) DO UPDATE SET
    version = excluded.version, name = excluded.name, type = excluded.type, weight = excluded.weight,
    active = excluded.active, demo = excluded.demo, position = excluded.position, document = excluded.document,
    created_by = excluded.created_by, created_at = excluded.created_at

-- name: find_newest
SELECT tenant, id, version, name, type, weight, active, demo, position, document, created_by, created_at
FROM holdfast.definitions WHERE tenant = $1 AND id = $2

-- name: find_version
SELECT tenant, id, version, name, type, weight, active, demo, position, document, created_by, created_at
FROM holdfast.definition_versions WHERE tenant = $1 AND id = $2 AND version = $3

-- name: list_definitions
SELECT tenant, id, version, name, type, weight, active, demo, position, document, created_by, created_at
FROM holdfast.definitions WHERE tenant = $1 AND ($2::boolean IS NULL OR active = $2) ORDER BY id

-- name: list_versions
SELECT tenant, id, version, name, type, weight, active, demo, position, document, created_by, created_at
FROM holdfast.definition_versions WHERE tenant = $1 AND id = $2 ORDER BY version DESC

-- name: insert_settings
INSERT INTO holdfast.work_settings (tenant, document, revision) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING

-- name: update_settings
UPDATE holdfast.work_settings SET document = $2, revision = $3 WHERE tenant = $1 AND revision = $3 - 1

-- name: find_settings
SELECT tenant, document, revision FROM holdfast.work_settings WHERE tenant = $1
