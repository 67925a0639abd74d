-- Sources, how far they were read, and what was made of their entries.
--
-- Guarantees: of a source and a key there is one entry, with its run and its messages, and the position that was read
-- to is written with them, or nothing is. What is asked of a source says which revision of it was read.
-- Locks, in this order: the row of the source, so that of those who take in of it one does at a time; the row of the
-- publish setting that decided the path, shared, so that whoever changes it waits for those who relied on it, and they
-- for whoever changes it; then new rows only, and what starts lock. Unlike on SQLite, where one writes at a time.

-- name: open_source
INSERT INTO holdfast.intake_sources AS s (tenant, name, kind, workflow, position, revision, runs, filtered, repeated,
                                          dead, state, note, read_at)
VALUES ($1, $2, $3, $4, '', 0, 0, 0, 0, 0, 'reading', '', 0)
ON CONFLICT (tenant, name) DO UPDATE SET kind = excluded.kind, workflow = excluded.workflow
WHERE s.kind <> excluded.kind OR s.workflow <> excluded.workflow

-- name: sources
SELECT tenant, name, kind, workflow, position, revision, runs, filtered, repeated, dead, state, note, read_at
FROM holdfast.intake_sources WHERE tenant = $1 ORDER BY name

-- name: source
SELECT tenant, name, kind, workflow, position, revision, runs, filtered, repeated, dead, state, note, read_at
FROM holdfast.intake_sources WHERE tenant = $1 AND name = $2

-- name: lock_source
SELECT workflow, position, revision FROM holdfast.intake_sources WHERE tenant = $1 AND name = $2 FOR NO KEY UPDATE

-- The source of an entry, locked before the entry is.
-- name: lock_source_of
SELECT s.name FROM holdfast.intake_sources AS s
WHERE s.tenant = $1 AND s.name = (SELECT e.source FROM holdfast.intake_entries AS e WHERE e.tenant = $1 AND e.uid = $2)
FOR NO KEY UPDATE

-- name: insert_entries
INSERT INTO holdfast.intake_entries (uid, tenant, source, key, workflow, message_id, place, outcome, reason, run_id,
                                     path, content, settled_by, at)
SELECT * FROM unnest($1::holdfast.intake_entry_row[])
ON CONFLICT DO NOTHING

-- name: find_uids
SELECT e.uid FROM unnest($2::bytea[]) AS v (uid)
CROSS JOIN LATERAL (SELECT uid FROM holdfast.intake_entries WHERE tenant = $1 AND uid = v.uid OFFSET 0) AS e

-- Each key is asked for as a range, whose order only the index of keys has: what the planner knows of a table that was
-- empty would let it take any index of the tenant's for as good.
-- name: find_keys
SELECT e.key FROM unnest($3::bytea[]) AS v (key)
CROSS JOIN LATERAL (
    SELECT key FROM holdfast.intake_entries
    WHERE tenant = $1 AND source = $2 AND key >= v.key AND key <= v.key ORDER BY key LIMIT 1
) AS e

-- name: move
UPDATE holdfast.intake_sources SET position = $3, revision = revision + 1, runs = runs + $4::bigint,
                                   filtered = filtered + $5::bigint, repeated = repeated + $6::bigint,
                                   dead = dead + $7::bigint, read_at = $8
WHERE tenant = $1 AND name = $2

-- name: note_source
UPDATE holdfast.intake_sources SET state = $3, note = $4, read_at = $5 WHERE tenant = $1 AND name = $2

-- name: rewind
UPDATE holdfast.intake_sources SET position = $3, revision = revision + 1
WHERE tenant = $1 AND name = $2 AND revision = $4

-- Whether a change was made before: it was recorded.
-- name: recorded
SELECT true FROM holdfast.audit WHERE tenant = $1 AND uid = $2

-- The revision of what was decided of a workflow's messages; no row for 0.
-- name: setting
SELECT revision FROM holdfast.publish_settings WHERE tenant = $1 AND workflow = $2 FOR SHARE

-- For a setting that has no row to be locked: whoever writes one waits, and is waited for.
-- name: lock_settings
LOCK TABLE holdfast.publish_settings IN SHARE MODE

-- The comment is where the condition stands whose index is to be used.
-- name: entries
SELECT uid, tenant, source, message_id, place, outcome, reason, run_id, path, NULL::bytea, settled_by, at
FROM holdfast.intake_entries
WHERE tenant = $1 AND uid < $2
  AND ($4::text IS NULL OR source = $4) AND ($5::text IS NULL OR outcome = $5)
  AND ($6::text IS NULL OR message_id = $6) AND ($7::text IS NULL OR run_id = $7)
  AND ($8::bigint IS NULL OR at >= $8) AND ($9::bigint IS NULL OR at < $9) /*and*/
ORDER BY uid DESC LIMIT $3

-- name: count_entries
SELECT count(*) FROM (/*entries*/) AS e

-- name: and_source
AND source = $4

-- name: and_message
AND message_id = $6 AND message_id <> ''

-- name: and_run
AND run_id = $7

-- name: and_dead
AND outcome = 'dead'

-- name: entry
SELECT uid, tenant, source, message_id, place, outcome, reason, run_id, path,
       CASE WHEN outcome = 'dead' THEN content END, settled_by, at
FROM holdfast.intake_entries WHERE tenant = $1 AND uid = $2

-- name: settle_entry
UPDATE holdfast.intake_entries SET outcome = $3, reason = CASE WHEN $3 = 'run' THEN reason ELSE $4 END, run_id = $5,
                                   path = $6, workflow = coalesce($7, workflow), content = NULL, settled_by = $8
WHERE tenant = $1 AND uid = $2 AND outcome = 'dead'
RETURNING true

-- A rule of the workflow merged its start into another's run, or dropped it.
-- name: divert_entries
UPDATE holdfast.intake_entries SET outcome = $3, reason = $4, run_id = $5::text,
                                   path = CASE WHEN $5::text IS NULL THEN NULL ELSE path END
WHERE tenant = $1 AND uid = $2

-- name: settle_source
UPDATE holdfast.intake_sources SET dead = dead - 1, runs = runs + $3::bigint WHERE tenant = $1 AND name = $2

-- The next workflow that has some: of each the oldest are at one end of an index.
-- name: entries_after
SELECT tenant, workflow FROM holdfast.intake_entries
WHERE (tenant, workflow) > ($1, $2) ORDER BY tenant, workflow LIMIT 1

-- name: prune_entries
DELETE FROM holdfast.intake_entries WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM holdfast.intake_entries
    WHERE tenant = $1 AND workflow = $2 AND at < $3 AND outcome <> 'dead' ORDER BY at, uid LIMIT $4
))

-- name: outcomes_after
SELECT tenant, workflow FROM holdfast.shadow_outcomes
WHERE (tenant, workflow) > ($1, $2) ORDER BY tenant, workflow LIMIT 1

-- name: prune_outcomes
DELETE FROM holdfast.shadow_outcomes WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM holdfast.shadow_outcomes
    WHERE tenant = $1 AND workflow = $2 AND at < $3 ORDER BY at, message_id LIMIT $4
))
