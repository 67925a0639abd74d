-- Messages as they are published, as they stand in line, and as people change them; inside the caller's transaction.
--
-- Locks, in this order: the lines of messages with a key, in order of tenant, channel and key; the messages, new ones in
-- order of tenant and id, then those that were there in order of uid; what is queued of them. A line is locked by one statement that also makes it, if it is missing; everything else of it is read
-- and changed by later ones, which see what was committed before the lock was had. One that is left without a head is
-- deleted before the transaction ends. Unlike SQLite, where writers take turns, a message whose id is published by
-- another process just now is waited for.

-- name: lock_lines
INSERT INTO holdfast.message_lines (tenant, channel, key, head)
SELECT DISTINCT v.tenant, v.channel, v.key, NULL::bytea
FROM unnest($1::text[], $2::text[], $3::text[]) AS v (tenant, channel, key) ORDER BY 1, 2, 3
ON CONFLICT (tenant, channel, key) DO UPDATE SET head = message_lines.head WHERE false

-- Guarantees: of a tenant and an id there is one, the first that was published; it gives what was added just now. Those
-- without a key are queued. The caller sorts them by tenant and id, so that two processes that publish the same wait
-- for each other in one order only.
-- name: insert_messages
WITH new AS (
    INSERT INTO holdfast.messages (uid, tenant, id, channel, key, status, verdict, reason, workflow, run, run_id,
                                   position, generation, due_at, created_at, ended_at, body, body_digest, text_digest,
                                   doubt, attempts, repeats)
    SELECT v.*, false, 0, 0 FROM unnest($1::holdfast.message_row[]) AS v
    ON CONFLICT DO NOTHING
    RETURNING uid, channel, key, status, due_at
), queued AS (
    INSERT INTO holdfast.message_queue (channel, due_at, uid)
    SELECT channel, due_at, uid FROM new WHERE status = 'pending' AND key IS NULL
)
SELECT uid FROM new

-- Guarantees: the batch that published it counts nothing when it is repeated, nor does one that was counted.
-- name: count_repeats
UPDATE holdfast.messages AS m
SET repeats = m.repeats + v.times, repeated = CASE WHEN m.repeated > v.last THEN m.repeated ELSE v.last END
FROM (
    SELECT m.uid, count(*) AS times, (array_agg(v.uid ORDER BY v.uid DESC))[1] AS last
    FROM unnest($1::holdfast.message_row[]) AS v
    CROSS JOIN LATERAL (SELECT * FROM holdfast.messages AS m WHERE m.tenant = v.tenant AND m.id = v.id OFFSET 0) AS m
    WHERE m.uid <> v.uid AND (m.repeated IS NULL OR m.repeated < v.uid)
      AND (m.run IS DISTINCT FROM v.run OR m.position <> v.position OR m.generation <> v.generation
           OR m.body_digest <> v.body_digest)
    GROUP BY m.uid
) AS v
WHERE m.uid BETWEEN v.uid AND v.uid

-- Behind the lock of their lines. Guarantees: who finds no head is the head, and may be claimed.
-- name: join_lines
WITH placed AS MATERIALIZED (
    SELECT v.*, l.at, l.head IS NULL AS free, coalesce(p.place, 0) AS last,
           row_number() OVER (PARTITION BY v.tenant, v.channel, v.key ORDER BY v.i) AS n
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bigint[]) WITH ORDINALITY
        AS v (tenant, channel, key, uid, due_at, i)
    CROSS JOIN LATERAL (
        SELECT l.ctid AS at, l.head FROM holdfast.message_lines AS l
        WHERE l.tenant = v.tenant AND l.channel = v.channel AND l.key = v.key OFFSET 0
    ) AS l
    LEFT JOIN LATERAL (
        SELECT p.place FROM holdfast.message_places AS p
        WHERE p.tenant = v.tenant AND p.channel = v.channel AND p.key = v.key ORDER BY p.place DESC LIMIT 1
    ) AS p ON true
), heads AS (
    UPDATE holdfast.message_lines AS l SET head = v.uid FROM placed AS v
    WHERE v.free AND v.n = 1 AND l.ctid = v.at
), queued AS (
    INSERT INTO holdfast.message_queue (channel, due_at, uid)
    SELECT channel, due_at, uid FROM placed WHERE free AND n = 1
)
INSERT INTO holdfast.message_places (tenant, channel, key, place, uid)
SELECT tenant, channel, key, last + n, uid FROM placed WHERE NOT (free AND n = 1)

-- name: drop_places
DELETE FROM holdfast.message_places WHERE uid = ANY ($1::bytea[])

-- Behind the lock of their lines, for those whose head is over: the next one is the head, and may be claimed. A line
-- behind whose head nobody stands is deleted.
-- name: advance_lines
WITH freed AS MATERIALIZED (
    SELECT l.at, p.at AS next_at, p.uid
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) AS v (tenant, channel, key, uid)
    CROSS JOIN LATERAL (
        SELECT l.ctid AS at FROM holdfast.message_lines AS l
        WHERE l.tenant = v.tenant AND l.channel = v.channel AND l.key = v.key AND l.head = v.uid OFFSET 0
    ) AS l
    LEFT JOIN LATERAL (
        SELECT p.ctid AS at, p.uid FROM holdfast.message_places AS p
        WHERE p.tenant = v.tenant AND p.channel = v.channel AND p.key = v.key ORDER BY p.place LIMIT 1
    ) AS p ON true
), gone AS (
    DELETE FROM holdfast.message_lines WHERE ctid = ANY (ARRAY(SELECT at FROM freed WHERE uid IS NULL))
), heads AS (
    UPDATE holdfast.message_lines AS l SET head = v.uid FROM freed AS v WHERE v.uid IS NOT NULL AND l.ctid = v.at
), moved AS (
    DELETE FROM holdfast.message_places WHERE ctid = ANY (ARRAY(SELECT next_at FROM freed WHERE uid IS NOT NULL))
)
INSERT INTO holdfast.message_queue (channel, due_at, uid)
SELECT m.channel, m.due_at, m.uid FROM freed AS v
CROSS JOIN LATERAL (SELECT * FROM holdfast.messages AS m WHERE m.uid = v.uid OFFSET 0) AS m

-- Lines that were locked and that nobody joined.
-- name: drop_lines
DELETE FROM holdfast.message_lines WHERE ctid = ANY (ARRAY(
    SELECT l.at FROM unnest($1::text[], $2::text[], $3::text[]) AS v (tenant, channel, key)
    CROSS JOIN LATERAL (
        SELECT l.ctid AS at FROM holdfast.message_lines AS l
        WHERE l.tenant = v.tenant AND l.channel = v.channel AND l.key = v.key AND l.head IS NULL OFFSET 0
    ) AS l
))

-- name: insert_queue
INSERT INTO holdfast.message_queue (channel, due_at, uid) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])

-- name: drop_queue
DELETE FROM holdfast.message_queue WHERE ctid = ANY (ARRAY(
    SELECT q.at FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS v (channel, due_at, uid)
    CROSS JOIN LATERAL (
        SELECT q.ctid AS at FROM holdfast.message_queue AS q
        WHERE q.channel = v.channel AND q.due_at = v.due_at AND q.uid = v.uid OFFSET 0
    ) AS q
))

-- The lines in which messages stand, or stood; this of a message never changes.
-- name: find_lines
SELECT tenant, channel, key FROM holdfast.messages WHERE tenant = $1 AND id = ANY ($2::text[]) AND key IS NOT NULL

-- name: lock_to_change
SELECT m.* FROM (
    SELECT m.uid FROM unnest($2::text[]) AS v (id)
    CROSS JOIN LATERAL (SELECT m.uid FROM holdfast.messages AS m WHERE m.tenant = $1 AND m.id = v.id OFFSET 0) AS m
    ORDER BY m.uid
) AS v
CROSS JOIN LATERAL (
    SELECT id, uid, channel, key, status, verdict, due_at, change_uid FROM holdfast.messages AS m
    WHERE m.uid = v.uid FOR UPDATE
) AS m

-- Guarantees: it is as if it had just been published.
-- name: send_again
UPDATE holdfast.messages SET
    status = 'pending', attempts = 0, doubt = false, error = NULL, ended_at = NULL, due_at = $2,
    approved_by = coalesce($3, approved_by), body = coalesce($4, body), change_uid = $5
WHERE uid = ANY ($1::bytea[])

-- name: discard
UPDATE holdfast.messages SET status = 'discarded', reason = $2, ended_at = $3, change_uid = $4
WHERE uid = ANY ($1::bytea[])
