-- Events: who waits for which, what is kept, who is given what.
--
-- Guarantees: an event, a time limit and a cancel compete for a wait's pending journal entry, and the first
-- one gives it its outcome; a wait has a row in `waits` for as long as its entry is pending. An event whose
-- id is known is left as it is, so that sending it again does nothing.
-- Locks: none but the one on the file, unlike on PostgreSQL, where all about a topic happens under its row.

-- name: insert_topics
INSERT INTO topics (id, tenant, name, key) VALUES /*rows*/ (?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: insert_watches
INSERT INTO waits (run, position, generation, topic, purpose, since)
SELECT column1, x'', 0, column2, 'watch', column3 FROM (VALUES /*rows*/ (?, ?, ?)) AS v WHERE true
ON CONFLICT DO NOTHING

-- Whose lease is there; and whether the wait has neither an outcome nor a row.
-- name: find_new_waits
SELECT g.run, v.column2, v.column3, g.epoch, v.column5,
       EXISTS (SELECT 1 FROM journal AS j
               WHERE j.run = g.run AND j.position = v.column2 AND j.generation = v.column3 AND j.outcome = 'pending')
       AND NOT EXISTS (SELECT 1 FROM waits AS w WHERE w.run = g.run AND w.position = v.column2
                                                  AND w.generation = v.column3 AND w.topic = v.column5)
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?)) AS v JOIN running AS g ON g.run = v.column1 AND g.epoch = v.column4

-- name: insert_waits
INSERT INTO waits (run, position, generation, topic, purpose, since, due_at)
SELECT column1, column2, column3, column4, 'wait', column5, column6
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?)) AS v WHERE true
ON CONFLICT DO NOTHING

-- The first so many of a topic's events that one wait may take, of those that are not expired at an instant.
-- name: kept_for_one
SELECT e.topic, e.sent_at, e.id, e.to_all, e.payload, e.expires_at
FROM (VALUES /*rows*/ (?, ?)) AS v CROSS JOIN events AS e
WHERE e.id IN (SELECT id FROM events WHERE topic = v.column1 AND to_all = 0 AND taken = 0 AND expires_at > v.column2
               ORDER BY sent_at, id LIMIT ?)
ORDER BY e.sent_at, e.id

-- For each wait the oldest event for all that its run was not given.
-- name: kept_for_all
SELECT v.column1, e.sent_at, e.id, e.to_all, e.payload, e.expires_at
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?)) AS v CROSS JOIN events AS e
WHERE e.id = (SELECT k.id FROM events AS k
              WHERE k.topic = v.column2 AND k.to_all = 1 AND k.taken = 0 AND k.expires_at > v.column4
                AND (v.column5 IS NULL OR k.sent_at < v.column5)
                AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.event = k.id AND d.run = v.column3)
              ORDER BY k.sent_at, k.id LIMIT 1)

-- name: take_events
UPDATE events SET taken = 1 WHERE id IN (VALUES /*rows*/ (?))

-- name: insert_deliveries
INSERT INTO deliveries (event, run) VALUES /*rows*/ (?, ?) ON CONFLICT DO NOTHING

-- name: find_events
SELECT id FROM events WHERE id IN (VALUES /*rows*/ (?))

-- name: insert_events
INSERT INTO events (topic, sent_at, id, to_all, taken, payload, expires_at) VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?)

-- The waits on a topic that are not due at an instant, of the first so many runs that wait.
-- name: find_waiting
SELECT w.topic, w.since, w.run, w.position, w.generation, w.due_at
FROM (VALUES /*rows*/ (?, ?)) AS v CROSS JOIN waits AS w
WHERE w.run IN (SELECT run FROM waits
                WHERE topic = v.column1 AND purpose = 'wait' AND (due_at IS NULL OR due_at > v.column2)
                ORDER BY since, run, position LIMIT ?)
  AND w.topic = v.column1 AND w.purpose = 'wait' AND (w.due_at IS NULL OR w.due_at > v.column2)
ORDER BY w.since, w.run, w.position

-- name: fire_watches
UPDATE waits SET purpose = 'fired' WHERE topic IN (VALUES /*rows*/ (?)) AND purpose = 'watch' RETURNING topic

-- name: end_waits
UPDATE journal SET outcome = v.column4, output = v.column5, finished_at = v.column6
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?)) AS v
WHERE run = v.column1 AND position = v.column2 AND generation = v.column3 AND outcome = 'pending'
RETURNING run, position, generation, outcome, output, finished_at

-- name: delete_waits
WITH v AS (VALUES /*rows*/ (?, ?, ?, ?))
DELETE FROM waits WHERE run IN (SELECT column1 FROM v) AND (run, position, generation, topic) IN (SELECT * FROM v)

-- name: forget_waits
DELETE FROM waits WHERE run IN (VALUES /*rows*/ (?))

-- name: find_entries
SELECT j.run, j.position, j.generation, j.kind, j.name, j.outcome, j.output, j.seq
FROM (VALUES /*rows*/ (?, ?, ?)) AS v
JOIN journal AS j ON j.run = v.column1 AND j.position = v.column2 AND j.generation = v.column3
