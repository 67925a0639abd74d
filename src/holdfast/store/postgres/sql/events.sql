-- Events, the waits for them, and what cancels runs.
--
-- Guarantees: no event is lost. Whoever registers a wait, sends an event or gives a wait another outcome
-- locks the topic's row first; what a later statement reads is then all there is. Event, time limit and
-- cancellation compete by the wait's journal entry: it gets an outcome once, while it is pending. An
-- event whose id is known changes nothing.
-- Locks: the topics in order of id, by one statement, which also makes those that are missing; then the
-- journal entries, together with those of the batch's parks and settles (see leave.sql). Rows of `waits`,
-- `events` and `deliveries` are changed under their topic's lock alone. A run's lease is locked before.
-- Unlike SQLite, everything is read after the topics are locked, each time with a new snapshot, then
-- decided in the process, then written.

-- DO UPDATE locks the row that is there, and WHERE false leaves it as it is.
-- name: lock_topics
INSERT INTO holdfast.topics (id, tenant, name, key)
SELECT * FROM unnest($1::holdfast.topic_row[]) ORDER BY id
ON CONFLICT (id) DO UPDATE SET key = topics.key WHERE false

-- name: find_topics
SELECT DISTINCT t.id, t.tenant, t.name, t.key FROM unnest($1::bytea[]) AS v (run)
CROSS JOIN LATERAL (SELECT w.topic FROM holdfast.waits AS w WHERE w.run = v.run OFFSET 0) AS w
CROSS JOIN LATERAL (SELECT * FROM holdfast.topics AS t WHERE t.id = w.topic OFFSET 0) AS t

-- name: find_registered
SELECT v.run, v.position, v.generation, v.topic
FROM unnest($1::bytea[], $2::bytea[], $3::integer[], $4::bytea[]) AS v (run, position, generation, topic)
CROSS JOIN LATERAL (
    SELECT FROM holdfast.waits AS w
    WHERE w.run = v.run AND w.position = v.position AND w.generation = v.generation AND w.topic = v.topic OFFSET 0
) AS w

-- The oldest events of each topic that are for one run and not taken.
-- name: find_kept_for_one
SELECT v.topic, e.sent_at, e.id, e.to_all, e.payload, e.expires_at
FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS v (topic, since, most)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.events AS e
    WHERE e.topic = v.topic AND NOT e.taken AND NOT e.to_all AND e.expires_at > v.since
    ORDER BY e.sent_at, e.id LIMIT v.most
) AS e

-- For each wait the oldest events that are for every run and were not given to its own.
-- name: find_kept_for_all
SELECT v.i::integer - 1, e.sent_at, e.id, e.to_all, e.payload, e.expires_at
FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[]) WITH ORDINALITY
    AS v (topic, run, since, due_at, most, i)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.events AS e
    WHERE e.topic = v.topic AND NOT e.taken AND e.to_all AND e.expires_at > v.since
      AND (v.due_at IS NULL OR e.sent_at < v.due_at)
      AND NOT EXISTS (SELECT FROM holdfast.deliveries AS d WHERE d.event = e.id AND d.run = v.run OFFSET 0)
    ORDER BY e.sent_at, e.id LIMIT v.most
) AS e

-- name: find_events
SELECT id FROM holdfast.events WHERE id = ANY ($1::bytea[])

-- The first waits of each topic that an event sent at ``sent_at`` or later may satisfy; all of them for ``most`` NULL.
-- name: find_waiting
SELECT v.topic, w.since, w.run, w.position, w.generation, w.due_at
FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS v (topic, sent_at, most)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.waits AS w
    WHERE w.topic = v.topic AND w.purpose = 'wait' AND (w.due_at IS NULL OR w.due_at > v.sent_at)
    ORDER BY w.since, w.run, w.position, w.generation LIMIT v.most
) AS w

-- name: insert_waits
INSERT INTO holdfast.waits (run, position, generation, topic, purpose, since, due_at)
SELECT * FROM unnest($1::holdfast.listen_row[])
ON CONFLICT DO NOTHING

-- name: delete_waits
DELETE FROM holdfast.waits WHERE ctid = ANY (ARRAY(
    SELECT w.place FROM unnest($1::bytea[], $2::bytea[], $3::integer[], $4::bytea[])
        AS v (run, position, generation, topic)
    CROSS JOIN LATERAL (
        SELECT w.ctid AS place FROM holdfast.waits AS w
        WHERE w.run = v.run AND w.position = v.position AND w.generation = v.generation AND w.topic = v.topic OFFSET 0
    ) AS w
))

-- name: forget_runs
DELETE FROM holdfast.waits WHERE run = ANY ($1::bytea[])

-- name: insert_events
INSERT INTO holdfast.events (topic, sent_at, id, to_all, taken, payload, expires_at)
SELECT * FROM unnest($1::holdfast.event_row[])
ON CONFLICT DO NOTHING

-- name: take_events
UPDATE holdfast.events SET taken = true WHERE id = ANY ($1::bytea[])

-- name: insert_deliveries
INSERT INTO holdfast.deliveries (event, run)
SELECT * FROM unnest($1::bytea[], $2::bytea[]) AS v (event, run)
ON CONFLICT DO NOTHING

-- name: fire_watches
WITH fired AS (
    UPDATE holdfast.waits SET purpose = 'fired'
    WHERE topic = ANY ($1::bytea[]) AND purpose = 'watch'
    RETURNING topic
)
SELECT topic, count(*) FROM fired GROUP BY topic
