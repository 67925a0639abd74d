-- What is read of messages, and how they are published. A page of them is read from the newest end of an index; which
-- index that is, is decided by what is asked for. A run that is deleted is not told.

-- name: message
SELECT uid, tenant, id, channel, key, status, verdict, reason, approved_by, doubt, attempts, repeats, error, workflow,
       (SELECT r.uid FROM holdfast.runs AS r WHERE r.uid = messages.run) AS run, run_id, due_at, created_at,
       ended_at, body
FROM holdfast.messages WHERE tenant = $1 AND id = $2

-- name: attempts
SELECT attempt, outcome, detail, doubt, began_at, ended_at FROM holdfast.message_attempts
WHERE uid = $1 AND tenant = $2 ORDER BY uid DESC, number DESC LIMIT $3

-- name: of_status
SELECT m.* FROM unnest($6::text[]) AS v (wanted) CROSS JOIN LATERAL (
    SELECT uid, tenant, id, channel, key, status, verdict, reason, approved_by, doubt, attempts, repeats, error,
           workflow, (SELECT r.uid FROM holdfast.runs AS r WHERE r.uid = messages.run) AS run, run_id, due_at,
           created_at, ended_at, NULL::bytea AS body
    FROM holdfast.messages
    WHERE tenant = $1 AND status = v.wanted AND uid >= $2 AND uid < $3
      AND ($7::text IS NULL OR channel = $7) AND ($8::text IS NULL OR workflow = $8)
      AND ($9::bytea IS NULL OR run = $9) AND ($10::text IS NULL OR key = $10)
      AND ($11::boolean IS NULL OR doubt = $11) AND ($4::bigint IS NULL OR created_at >= $4)
      AND ($5::bigint IS NULL OR created_at < $5)
    ORDER BY uid DESC LIMIT $12
) AS m
ORDER BY m.uid DESC LIMIT $12

-- name: of_workflow
SELECT uid, tenant, id, channel, key, status, verdict, reason, approved_by, doubt, attempts, repeats, error, workflow,
       (SELECT r.uid FROM holdfast.runs AS r WHERE r.uid = messages.run) AS run, run_id, due_at, created_at,
       ended_at, NULL::bytea AS body
FROM holdfast.messages
WHERE tenant = $1 AND workflow = $8 AND uid >= $2 AND uid < $3
  AND ($7::text IS NULL OR channel = $7) AND ($9::bytea IS NULL OR run = $9) AND ($10::text IS NULL OR key = $10)
  AND ($11::boolean IS NULL OR doubt = $11) AND ($4::bigint IS NULL OR created_at >= $4)
  AND ($5::bigint IS NULL OR created_at < $5) AND status = ANY ($6::text[])
ORDER BY uid DESC LIMIT $12

-- name: of_channel
SELECT uid, tenant, id, channel, key, status, verdict, reason, approved_by, doubt, attempts, repeats, error, workflow,
       (SELECT r.uid FROM holdfast.runs AS r WHERE r.uid = messages.run) AS run, run_id, due_at, created_at,
       ended_at, NULL::bytea AS body
FROM holdfast.messages
WHERE tenant = $1 AND channel = $7 AND uid >= $2 AND uid < $3
  AND ($8::text IS NULL OR workflow = $8) AND ($9::bytea IS NULL OR run = $9) AND ($10::text IS NULL OR key = $10)
  AND ($11::boolean IS NULL OR doubt = $11) AND ($4::bigint IS NULL OR created_at >= $4)
  AND ($5::bigint IS NULL OR created_at < $5) AND status = ANY ($6::text[])
ORDER BY uid DESC LIMIT $12

-- name: of_key
SELECT uid, tenant, id, channel, key, status, verdict, reason, approved_by, doubt, attempts, repeats, error, workflow,
       (SELECT r.uid FROM holdfast.runs AS r WHERE r.uid = messages.run) AS run, run_id, due_at, created_at,
       ended_at, NULL::bytea AS body
FROM holdfast.messages
WHERE tenant = $1 AND key = $10 AND uid >= $2 AND uid < $3
  AND ($7::text IS NULL OR channel = $7) AND ($8::text IS NULL OR workflow = $8) AND ($9::bytea IS NULL OR run = $9)
  AND ($11::boolean IS NULL OR doubt = $11) AND ($4::bigint IS NULL OR created_at >= $4)
  AND ($5::bigint IS NULL OR created_at < $5) AND status = ANY ($6::text[])
ORDER BY uid DESC LIMIT $12

-- name: of_run
SELECT uid, tenant, id, channel, key, status, verdict, reason, approved_by, doubt, attempts, repeats, error, workflow,
       (SELECT r.uid FROM holdfast.runs AS r WHERE r.uid = messages.run) AS run, run_id, due_at, created_at,
       ended_at, NULL::bytea AS body
FROM holdfast.messages
WHERE run = $9 AND tenant = $1 AND uid >= $2 AND uid < $3
  AND ($7::text IS NULL OR channel = $7) AND ($8::text IS NULL OR workflow = $8) AND ($10::text IS NULL OR key = $10)
  AND ($11::boolean IS NULL OR doubt = $11) AND ($4::bigint IS NULL OR created_at >= $4)
  AND ($5::bigint IS NULL OR created_at < $5) AND status = ANY ($6::text[])
ORDER BY uid DESC LIMIT $12

-- How many one of these finds, which stands in place of the comment.
-- name: count
SELECT count(*) FROM (/*found*/) AS m

-- The channels in which something waits are found by jumping from one to the next along the indexes.
-- name: backlog
WITH RECURSIVE channels (channel) AS (
    SELECT ''::text COLLATE "C"
    UNION ALL
    SELECT n.channel FROM channels AS c CROSS JOIN LATERAL (
        SELECT least(
            (SELECT q.channel FROM holdfast.message_queue AS q WHERE q.channel > c.channel ORDER BY q.channel LIMIT 1),
            (SELECT s.channel FROM holdfast.message_sends AS s WHERE s.channel > c.channel ORDER BY s.channel LIMIT 1),
            (SELECT p.channel FROM holdfast.message_places AS p WHERE p.channel > c.channel ORDER BY p.channel LIMIT 1)
        ) AS channel
    ) AS n
    WHERE n.channel IS NOT NULL
)
SELECT c.channel, least($1::bigint, (
    SELECT count(*) FROM (SELECT FROM holdfast.message_queue AS q WHERE q.channel = c.channel LIMIT $1) AS q
) + (
    SELECT count(*) FROM (SELECT FROM holdfast.message_places AS p WHERE p.channel = c.channel LIMIT $1) AS p
)), (
    SELECT count(*) FROM (SELECT FROM holdfast.message_sends AS s WHERE s.channel = c.channel LIMIT $1) AS s
), (
    SELECT q.due_at FROM holdfast.message_queue AS q
    WHERE q.channel = c.channel AND q.due_at <= clock.now ORDER BY q.due_at LIMIT 1
)
FROM channels AS c CROSS JOIN (SELECT holdfast.now_us() AS now OFFSET 0) AS clock
WHERE c.channel <> '' ORDER BY c.channel

-- name: next_due
SELECT v.channel, q.due_at FROM unnest($1::text[]) AS v (channel) CROSS JOIN LATERAL (
    SELECT q.due_at FROM holdfast.message_queue AS q WHERE q.channel = v.channel ORDER BY q.due_at LIMIT 1
) AS q

-- name: uids
SELECT m.uid FROM unnest($2::text[]) AS v (id)
CROSS JOIN LATERAL (SELECT m.uid FROM holdfast.messages AS m WHERE m.tenant = $1 AND m.id = v.id OFFSET 0) AS m

-- name: settings
SELECT tenant, workflow, mode, path, path_since, copies_until, revision, changed_by, changed_at
FROM holdfast.publish_settings WHERE tenant = $1 ORDER BY workflow

-- name: setting
SELECT tenant, workflow, mode, path, path_since, copies_until, revision, changed_by, changed_at
FROM holdfast.publish_settings WHERE tenant = $1 AND workflow = $2

-- name: insert_setting
INSERT INTO holdfast.publish_settings (tenant, workflow, mode, path, path_since, copies_until, revision, changed_by,
                                       changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING

-- name: update_setting
UPDATE holdfast.publish_settings
SET mode = $3, path = $4, path_since = $5, copies_until = $6, revision = $7, changed_by = $8, changed_at = $9
WHERE tenant = $1 AND workflow = $2 AND revision = $7 - 1

-- Those that are dead, or for a review, which are not over, wait for a person, however long. Who has locked one is not waited for.
-- name: prune
WITH old AS MATERIALIZED (
    SELECT uid FROM holdfast.messages
    WHERE ($1::text IS NULL OR tenant = $1) AND ended_at < $2 AND status IN ('sent', 'withheld', 'discarded')
    ORDER BY ended_at LIMIT $3 FOR UPDATE SKIP LOCKED
), attempts AS (
    DELETE FROM holdfast.message_attempts WHERE uid = ANY (ARRAY(SELECT uid FROM old))
)
DELETE FROM holdfast.messages WHERE uid = ANY (ARRAY(SELECT uid FROM old))
