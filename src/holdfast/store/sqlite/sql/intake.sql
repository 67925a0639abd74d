-- Sources, how far they were read, and what was made of their entries.
--
-- Guarantees: of a source and a key there is one entry, with its run and its messages, and the position that was read
-- to is written with them, or nothing is. What is asked of a source says which revision of it was read.
-- All of a call is one transaction, of which there is one at a time: no row is locked, unlike on PostgreSQL.

-- name: open_source
INSERT INTO intake_sources (tenant, name, kind, workflow, position, revision, runs, filtered, repeated, dead, state,
                            note, read_at)
VALUES (?, ?, ?, ?, X'', 0, 0, 0, 0, 0, 'reading', '', 0)
ON CONFLICT (tenant, name) DO UPDATE SET kind = excluded.kind, workflow = excluded.workflow

-- name: sources
SELECT tenant, name, kind, workflow, position, revision, runs, filtered, repeated, dead, state, note, read_at
FROM intake_sources WHERE tenant = ? ORDER BY name

-- name: source
SELECT tenant, name, kind, workflow, position, revision, runs, filtered, repeated, dead, state, note, read_at
FROM intake_sources WHERE tenant = ? AND name = ?

-- name: insert_entries
INSERT INTO intake_entries (uid, tenant, source, key, workflow, message_id, place, outcome, reason, run_id, path,
                            content, settled_by, at)
VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- name: find_uids
SELECT e.uid FROM (VALUES /*rows*/ (?, ?)) AS v JOIN intake_entries AS e ON e.tenant = v.column1 AND e.uid = v.column2

-- name: find_keys
SELECT e.key FROM (VALUES /*rows*/ (?, ?, ?)) AS v
JOIN intake_entries AS e ON e.tenant = v.column1 AND e.source = v.column2 AND e.key = v.column3

-- name: move
UPDATE intake_sources SET position = ?3, revision = revision + 1, runs = runs + ?4, filtered = filtered + ?5,
                          repeated = repeated + ?6, dead = dead + ?7, read_at = ?8
WHERE tenant = ?1 AND name = ?2

-- name: note_source
UPDATE intake_sources SET state = ?3, note = ?4, read_at = ?5 WHERE tenant = ?1 AND name = ?2

-- name: rewind
UPDATE intake_sources SET position = ?3, revision = revision + 1 WHERE tenant = ?1 AND name = ?2 AND revision = ?4

-- Whether a change was made before: it was recorded.
-- name: recorded
SELECT 1 FROM audit WHERE tenant = ? AND uid = ?

-- The revision of what was decided of a workflow's messages; no row for 0.
-- name: setting
SELECT revision FROM publish_settings WHERE tenant = ? AND workflow = ?

-- The comment is where the condition stands whose index is to be used.
-- name: entries
SELECT uid, tenant, source, message_id, place, outcome, reason, run_id, path, NULL, settled_by, at
FROM intake_entries
WHERE tenant = :tenant AND uid < :before
  AND (:source IS NULL OR source = :source) AND (:outcome IS NULL OR outcome = :outcome)
  AND (:message_id IS NULL OR message_id = :message_id) AND (:run_id IS NULL OR run_id = :run_id)
  AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at < :until) /*and*/
ORDER BY uid DESC LIMIT :limit

-- name: count_entries
SELECT count(*) FROM (/*entries*/) AS e

-- name: and_source
AND source = :source

-- name: and_message
AND message_id = :message_id AND message_id <> ''

-- name: and_run
AND run_id = :run_id

-- name: and_dead
AND outcome = 'dead'

-- name: entry
SELECT uid, tenant, source, message_id, place, outcome, reason, run_id, path,
       CASE WHEN outcome = 'dead' THEN content END, settled_by, at
FROM intake_entries WHERE tenant = ? AND uid = ?

-- name: settle_entry
UPDATE intake_entries SET outcome = ?3, reason = CASE WHEN ?3 = 'run' THEN reason ELSE ?4 END, run_id = ?5, path = ?6,
                          workflow = coalesce(?7, workflow), content = NULL, settled_by = ?8
WHERE tenant = ?1 AND uid = ?2 AND outcome = 'dead'
RETURNING source

-- A rule of the workflow merged its start into another's run, or dropped it.
-- name: divert_entries
UPDATE intake_entries SET outcome = ?3, reason = ?4, run_id = ?5, path = CASE WHEN ?5 IS NULL THEN NULL ELSE path END
WHERE tenant = ?1 AND uid = ?2

-- name: settle_source
UPDATE intake_sources SET dead = dead - 1, runs = runs + ?3 WHERE tenant = ?1 AND name = ?2

-- The next workflow that has some: of each the oldest are at one end of an index.
-- name: entries_after
SELECT tenant, workflow FROM intake_entries
WHERE (tenant, workflow) > (?, ?) ORDER BY tenant, workflow LIMIT 1

-- name: prune_entries
DELETE FROM intake_entries WHERE rowid IN (
    SELECT rowid FROM intake_entries
    WHERE tenant = ?1 AND workflow = ?2 AND at < ?3 AND outcome <> 'dead' ORDER BY at, uid LIMIT ?4
)

-- name: outcomes_after
SELECT tenant, workflow FROM shadow_outcomes
WHERE (tenant, workflow) > (?, ?) ORDER BY tenant, workflow LIMIT 1

-- name: prune_outcomes
DELETE FROM shadow_outcomes WHERE rowid IN (
    SELECT rowid FROM shadow_outcomes
    WHERE tenant = ?1 AND workflow = ?2 AND at < ?3 ORDER BY at, message_id LIMIT ?4
)
