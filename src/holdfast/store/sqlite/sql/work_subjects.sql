-- Subjects and signals. Each verb that writes is one BEGIN IMMEDIATE … COMMIT, so that nobody stores a signal
-- between the look at a subject's latest ones and their change; PostgreSQL locks the subject for that.
--
-- Guarantees: a subject is stored only on top of the revision that it was made from; its latest signals are those
-- of the newest instants, in whatever order they come.

-- name: put_subjects
INSERT INTO subjects (
    tenant, id, name, assignee, properties, contacts, weak, demo, created_at, revision, folded,
    signals, signals_at, scores
)
SELECT *, '{}', '{}', x'7b7d' FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS v
WHERE v.column10 = 1 OR EXISTS (
    SELECT 1 FROM subjects AS s WHERE s.tenant = v.column1 AND s.id = v.column2 AND s.revision = v.column10 - 1
)
ON CONFLICT (tenant, id) DO UPDATE SET
    name = excluded.name, assignee = excluded.assignee, properties = excluded.properties,
    contacts = excluded.contacts, weak = excluded.weak, demo = excluded.demo, created_at = excluded.created_at,
    revision = excluded.revision, folded = excluded.folded
WHERE subjects.revision = excluded.revision - 1

-- name: subjects
SELECT s.tenant, s.id, s.name, s.assignee, s.properties, s.contacts, s.weak, CAST(s.signals AS BLOB),
       CAST(s.signals_at AS BLOB), s.scores, s.demo, s.created_at, s.revision
FROM subjects AS s

-- name: by_ids
WHERE s.tenant = ? AND s.id IN (VALUES /*rows*/ (?))

-- name: delete_subject
DELETE FROM subjects WHERE tenant = ? AND id = ?

-- name: delete_signals
DELETE FROM signals WHERE tenant = ? AND subject = ?

-- name: find_latest
SELECT s.tenant, s.id, s.signals, s.signals_at
FROM (VALUES /*rows*/ (?, ?)) AS v CROSS JOIN subjects AS s ON s.tenant = v.column1 AND s.id = v.column2

-- name: put_signals
INSERT INTO signals (tenant, subject, name, at, value, source) VALUES /*rows*/ (?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, subject, name, at) DO UPDATE SET value = excluded.value, source = excluded.source

-- name: put_names
INSERT INTO signal_names (tenant, name) VALUES /*rows*/ (?, ?) ON CONFLICT DO NOTHING

-- name: set_latest
UPDATE subjects SET signals = v.column3, signals_at = v.column4
FROM (VALUES /*rows*/ (?, ?, ?, ?)) AS v WHERE tenant = v.column1 AND id = v.column2

-- name: set_scores
UPDATE subjects SET scores = v.column3
FROM (VALUES /*rows*/ (?, ?, ?)) AS v WHERE tenant = v.column1 AND id = v.column2

-- name: signals
SELECT tenant, subject, name, at, value, source FROM signals
WHERE tenant = ? AND subject = ? AND name = ? AND at BETWEEN ? AND ? ORDER BY at DESC LIMIT ?

-- Those that a subject has: they are the names of its latest ones.
-- name: names_of
SELECT signals FROM subjects WHERE tenant = ? AND id = ?

-- name: signals_at
SELECT s.id, g.value FROM subjects AS s CROSS JOIN signals AS g
  ON g.tenant = s.tenant AND g.subject = s.id AND g.name = ?2 AND g.at = (
    SELECT max(h.at) FROM signals AS h
    WHERE h.tenant = s.tenant AND h.subject = s.id AND h.name = ?2 AND h.at <= ?3
)
WHERE s.tenant = ?1 AND s.id > ?4 ORDER BY s.id LIMIT ?5

-- name: signal_names
SELECT name FROM signal_names WHERE tenant = ? ORDER BY name
