-- Subjects, and the signals that are measured of them.
--
-- Guarantees: a subject changes only on top of the revision that the change was made from. The signals of a subject and
-- the latest values that stand in its row say the same, in whatever order and however often signals are sent. Of who is
-- forgotten no signal is left.
-- Locks: the subjects in order of tenant and id, by one statement, before anything of them is read or written; then the
-- names of signals, in order. A new subject is not there to be locked: of two processes that make it the second waits,
-- finds that its row was not made, and does all of it again.
-- Unlike SQLite, the latest values are jsonb, and are merged where they are.

-- name: lock_subjects
SELECT v.i::integer - 1, s.name, s.assignee, s.properties, s.contacts, s.weak, s.demo, s.created_at, s.revision
FROM (
    SELECT * FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS v (tenant, id, i) ORDER BY tenant, id
) AS v
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.subjects AS s WHERE s.tenant = v.tenant AND s.id = v.id FOR UPDATE
) AS s

-- name: insert_subjects
INSERT INTO holdfast.subjects (
    tenant, id, name, assignee, properties, contacts, weak, signals, signals_at, scores, demo, created_at, revision,
    folded
)
SELECT tenant, id, name, assignee, properties, contacts, weak, '{}', '{}', convert_to('{}', 'UTF8'), demo, created_at,
       revision, folded
FROM unnest($1::holdfast.subject_row[]) ORDER BY tenant, id
ON CONFLICT DO NOTHING

-- name: update_subjects
UPDATE holdfast.subjects AS s SET
    name = v.name, assignee = v.assignee, properties = v.properties, contacts = v.contacts, weak = v.weak,
    demo = v.demo, created_at = v.created_at, revision = v.revision, folded = v.folded
FROM unnest($1::holdfast.subject_row[]) AS v
WHERE s.tenant = v.tenant AND s.id = v.id

-- name: find_subjects
SELECT tenant, id, name, assignee, properties, contacts, weak, convert_to(signals::text, 'UTF8'),
       convert_to(signals_at::text, 'UTF8'), scores, demo, created_at, revision
FROM holdfast.subjects WHERE tenant = $1 AND id = ANY ($2::text[])

-- name: list_subjects
SELECT tenant, id, name, assignee, properties, contacts, weak, convert_to(signals::text, 'UTF8'),
       convert_to(signals_at::text, 'UTF8'), scores, demo, created_at, revision
FROM holdfast.subjects WHERE tenant = $1 AND id > $2 AND ($3 = '' OR position($3 IN folded) > 0)
ORDER BY id LIMIT $4

-- name: list_subjects_of
SELECT tenant, id, name, assignee, properties, contacts, weak, convert_to(signals::text, 'UTF8'),
       convert_to(signals_at::text, 'UTF8'), scores, demo, created_at, revision
FROM holdfast.subjects WHERE tenant = $1 AND id > $2 AND ($3 = '' OR position($3 IN folded) > 0) AND assignee = $5
ORDER BY id LIMIT $4

-- name: delete_subject
DELETE FROM holdfast.subjects WHERE tenant = $1 AND id = $2

-- name: delete_signals
DELETE FROM holdfast.signals WHERE tenant = $1 AND subject = $2

-- name: put_names
INSERT INTO holdfast.signal_names (tenant, name)
SELECT DISTINCT tenant, name FROM unnest($1::text[], $2::text[]) AS v (tenant, name) ORDER BY tenant, name
ON CONFLICT DO NOTHING

-- name: put_signals
INSERT INTO holdfast.signals (tenant, subject, name, at, value, source)
SELECT tenant, subject, name, at, value, source FROM unnest($1::holdfast.signal_row[])
ON CONFLICT (tenant, subject, name, at) DO UPDATE SET value = excluded.value, source = excluded.source
WHERE (signals.value, signals.source) IS DISTINCT FROM (excluded.value, excluded.source)

-- What is sent here is the newest of each name; an older one than is stored changes nothing.
-- name: put_latest
UPDATE holdfast.subjects AS s SET signals = s.signals || n.signals, signals_at = s.signals_at || n.signals_at
FROM (
    SELECT v.tenant, v.subject, jsonb_object_agg(v.name, v.value) AS signals,
           jsonb_object_agg(v.name, v.at) AS signals_at
    FROM unnest($1::holdfast.signal_row[]) AS v
    CROSS JOIN LATERAL (
        SELECT (s.signals_at ->> v.name)::bigint AS at FROM holdfast.subjects AS s
        WHERE s.tenant = v.tenant AND s.id = v.subject OFFSET 0
    ) AS known
    WHERE known.at IS NULL OR known.at <= v.at
    GROUP BY v.tenant, v.subject
) AS n
WHERE s.tenant = n.tenant AND s.id = n.subject

-- name: list_signals
SELECT tenant, subject, name, at, value, source FROM holdfast.signals
WHERE tenant = $1 AND subject = $2 AND at >= $3 AND at <= $4 ORDER BY at DESC, name LIMIT $5

-- name: list_signals_of
SELECT tenant, subject, name, at, value, source FROM holdfast.signals
WHERE tenant = $1 AND subject = $2 AND name = $6 AND at >= $3 AND at <= $4 ORDER BY at DESC LIMIT $5

-- name: signals_at
SELECT s.id, v.value FROM holdfast.subjects AS s
CROSS JOIN LATERAL (
    SELECT v.value FROM holdfast.signals AS v
    WHERE v.tenant = s.tenant AND v.subject = s.id AND v.name = $2 AND v.at <= $3 ORDER BY v.at DESC LIMIT 1
) AS v
WHERE s.tenant = $1 AND s.id > $4 ORDER BY s.id LIMIT $5

-- name: signal_names
SELECT name FROM holdfast.signal_names WHERE tenant = $1 ORDER BY name

-- name: put_scores
UPDATE holdfast.subjects AS s SET scores = v.scores
FROM (SELECT * FROM unnest($2::text[], $3::bytea[]) AS v (id, scores) ORDER BY id) AS v
WHERE s.tenant = $1 AND s.id = v.id
