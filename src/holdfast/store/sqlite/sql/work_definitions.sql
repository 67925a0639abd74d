-- Definitions in all their versions, and the settings of tenants.
--
-- Guarantees: a version is stored only on top of the one before it, and never changes; the newest of each
-- definition stands in `definitions`, where scores find it.

-- name: newest
SELECT version FROM definitions WHERE tenant = ? AND id = ?

-- name: add_version
INSERT INTO definition_versions (
    tenant, id, version, name, type, weight, active, demo, position, document, created_by, created_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: set_newest
INSERT INTO definitions (
    tenant, id, version, name, type, weight, active, demo, position, document, created_by, created_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, id) DO UPDATE SET
    version = excluded.version, name = excluded.name, type = excluded.type, weight = excluded.weight,
    active = excluded.active, demo = excluded.demo, position = excluded.position, document = excluded.document,
    created_by = excluded.created_by, created_at = excluded.created_at

-- name: definition
SELECT tenant, id, version, name, type, weight, active, demo, position, document, created_by, created_at
FROM definitions WHERE tenant = ? AND id = ?

-- name: version
SELECT tenant, id, version, name, type, weight, active, demo, position, document, created_by, created_at
FROM definition_versions WHERE tenant = ? AND id = ? AND version = ?

-- name: definitions
SELECT tenant, id, version, name, type, weight, active, demo, position, document, created_by, created_at
FROM definitions WHERE tenant = ?1 AND (?2 IS NULL OR active = ?2) ORDER BY id

-- name: versions
SELECT tenant, id, version, name, type, weight, active, demo, position, document, created_by, created_at
FROM definition_versions WHERE tenant = ? AND id = ? ORDER BY version DESC

-- name: insert_settings
INSERT INTO work_settings (tenant, document, revision) VALUES (?, ?, ?) ON CONFLICT DO NOTHING

-- name: update_settings
UPDATE work_settings SET document = ?2, revision = ?3 WHERE tenant = ?1 AND revision = ?3 - 1

-- name: settings
SELECT tenant, document, revision FROM work_settings WHERE tenant = ?
