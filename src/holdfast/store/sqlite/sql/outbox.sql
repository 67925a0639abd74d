-- What is read of messages, and how they are published. A page of them is read from the newest end of an index; which
-- index that is, is decided by what is asked for. Of a status, unlike on PostgreSQL, by a call for each. A run that is
-- deleted is not told.

-- name: message
SELECT uid, tenant, id, channel, key, status, verdict, reason, approved_by, doubt, attempts, repeats, error, workflow,
       (SELECT r.uid FROM runs AS r WHERE r.uid = messages.run), run_id, due_at, created_at, ended_at, body
FROM messages WHERE tenant = ? AND id = ?

-- name: attempts
SELECT attempt, outcome, detail, doubt, began_at, ended_at FROM message_attempts
WHERE uid = ? AND tenant = ? ORDER BY number DESC LIMIT ?

-- name: of_status
SELECT uid, tenant, id, channel, key, status, verdict, reason, approved_by, doubt, attempts, repeats, error, workflow,
       (SELECT r.uid FROM runs AS r WHERE r.uid = messages.run), run_id, due_at, created_at, ended_at, NULL
FROM messages
WHERE tenant = :tenant AND status = :status AND uid >= :low AND uid < :high
  AND (:channel IS NULL OR channel = :channel) AND (:workflow IS NULL OR workflow = :workflow)
  AND (:run IS NULL OR run = :run) AND (:key IS NULL OR key = :key) AND (:doubt IS NULL OR doubt = :doubt)
  AND (:since IS NULL OR created_at >= :since) AND (:until IS NULL OR created_at < :until)
ORDER BY uid DESC LIMIT :limit

-- name: of_workflow
SELECT uid, tenant, id, channel, key, status, verdict, reason, approved_by, doubt, attempts, repeats, error, workflow,
       (SELECT r.uid FROM runs AS r WHERE r.uid = messages.run), run_id, due_at, created_at, ended_at, NULL
FROM messages
WHERE tenant = :tenant AND workflow = :workflow AND uid >= :low AND uid < :high
  AND (:channel IS NULL OR channel = :channel) AND (:run IS NULL OR run = :run) AND (:key IS NULL OR key = :key)
  AND (:doubt IS NULL OR doubt = :doubt) AND (:since IS NULL OR created_at >= :since)
  AND (:until IS NULL OR created_at < :until) AND (:statuses = '' OR instr(:statuses, ' ' || status || ' ') > 0)
ORDER BY uid DESC LIMIT :limit

-- name: of_channel
SELECT uid, tenant, id, channel, key, status, verdict, reason, approved_by, doubt, attempts, repeats, error, workflow,
       (SELECT r.uid FROM runs AS r WHERE r.uid = messages.run), run_id, due_at, created_at, ended_at, NULL
FROM messages
WHERE tenant = :tenant AND channel = :channel AND uid >= :low AND uid < :high
  AND (:workflow IS NULL OR workflow = :workflow) AND (:run IS NULL OR run = :run) AND (:key IS NULL OR key = :key)
  AND (:doubt IS NULL OR doubt = :doubt) AND (:since IS NULL OR created_at >= :since)
  AND (:until IS NULL OR created_at < :until) AND (:statuses = '' OR instr(:statuses, ' ' || status || ' ') > 0)
ORDER BY uid DESC LIMIT :limit

-- name: of_key
SELECT uid, tenant, id, channel, key, status, verdict, reason, approved_by, doubt, attempts, repeats, error, workflow,
       (SELECT r.uid FROM runs AS r WHERE r.uid = messages.run), run_id, due_at, created_at, ended_at, NULL
FROM messages
WHERE tenant = :tenant AND key = :key AND uid >= :low AND uid < :high
  AND (:channel IS NULL OR channel = :channel) AND (:workflow IS NULL OR workflow = :workflow)
  AND (:run IS NULL OR run = :run) AND (:doubt IS NULL OR doubt = :doubt) AND (:since IS NULL OR created_at >= :since)
  AND (:until IS NULL OR created_at < :until) AND (:statuses = '' OR instr(:statuses, ' ' || status || ' ') > 0)
ORDER BY uid DESC LIMIT :limit

-- name: of_run
SELECT uid, tenant, id, channel, key, status, verdict, reason, approved_by, doubt, attempts, repeats, error, workflow,
       (SELECT r.uid FROM runs AS r WHERE r.uid = messages.run), run_id, due_at, created_at, ended_at, NULL
FROM messages
WHERE run = :run AND +tenant = :tenant AND uid >= :low AND uid < :high
  AND (:channel IS NULL OR channel = :channel) AND (:workflow IS NULL OR workflow = :workflow)
  AND (:key IS NULL OR key = :key) AND (:doubt IS NULL OR doubt = :doubt) AND (:since IS NULL OR created_at >= :since)
  AND (:until IS NULL OR created_at < :until) AND (:statuses = '' OR instr(:statuses, ' ' || status || ' ') > 0)
ORDER BY uid DESC LIMIT :limit

-- How many one of these finds, which stands in place of the comment.
-- name: count
SELECT count(*) FROM (/*found*/) AS m

-- The channels in which something waits, from one to the next along the index.
-- name: next_channel
SELECT min(channel) FROM (
    SELECT min(channel) AS channel FROM message_queue WHERE channel > ?1
    UNION ALL SELECT min(channel) FROM message_sends WHERE channel > ?1
    UNION ALL SELECT min(channel) FROM message_places WHERE channel > ?1
)

-- name: backlog
SELECT (SELECT count(*) FROM (SELECT 1 FROM message_queue WHERE channel = :channel LIMIT :cap))
       + (SELECT count(*) FROM (SELECT 1 FROM message_places WHERE channel = :channel LIMIT :cap)),
       (SELECT count(*) FROM (SELECT 1 FROM message_sends WHERE channel = :channel LIMIT :cap)),
       (SELECT min(due_at) FROM message_queue
        WHERE channel = :channel AND due_at <= (SELECT holdfast_now_us() + offset_us FROM clock))

-- name: next_due
SELECT min(due_at) FROM message_queue WHERE channel = ?

-- name: uid
SELECT uid FROM messages WHERE tenant = ? AND id = ?

-- name: settings
SELECT tenant, workflow, mode, path, path_since, copies_until, revision, changed_by, changed_at
FROM publish_settings WHERE tenant = ? ORDER BY workflow

-- name: setting
SELECT tenant, workflow, mode, path, path_since, copies_until, revision, changed_by, changed_at
FROM publish_settings WHERE tenant = ? AND workflow = ?

-- name: insert_setting
INSERT INTO publish_settings (tenant, workflow, mode, path, path_since, copies_until, revision, changed_by, changed_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: update_setting
UPDATE publish_settings
SET mode = ?3, path = ?4, path_since = ?5, copies_until = ?6, revision = ?7, changed_by = ?8, changed_at = ?9
WHERE tenant = ?1 AND workflow = ?2 AND revision = ?7 - 1

-- Those that are dead, or for a review, which are not over, wait for a person, however long.
-- name: old
SELECT uid FROM messages
WHERE (?1 IS NULL OR tenant = ?1) AND ended_at < ?2 AND status IN ('sent', 'withheld', 'discarded')
ORDER BY ended_at LIMIT ?3

-- name: delete_attempts
DELETE FROM message_attempts WHERE uid IN (VALUES /*rows*/ (?))

-- name: delete_messages
DELETE FROM messages WHERE uid IN (VALUES /*rows*/ (?))
