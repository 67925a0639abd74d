-- Parts of a journal, for people who look at it. The primary key (run, position, generation) gives the order: a part
-- costs what is in it, however long the journal is, but for a stretch of time, which is looked for from the beginning.

-- name: browse
-- The start of an entry is that of its last attempt; one that was tried before began earlier.
SELECT j.run, j.position, j.generation, j.seq, j.kind, j.name, j.outcome,
       CASE WHEN length(j.input) <= 200 THEN j.input END, CASE WHEN length(j.output) <= 200 THEN j.output END,
       j.attempts, j.started_at, j.finished_at
FROM journal AS j
WHERE j.run = ?1 AND j.position > ?2 AND (j.finished_at IS NULL OR j.finished_at >= ?3)
  AND (j.started_at <= ?4 OR j.attempts > 1 AND EXISTS (
      SELECT 1 FROM attempts AS a
      WHERE a.run = j.run AND a.position = j.position AND a.generation = j.generation AND a.started_at <= ?4
  ))
ORDER BY j.position, j.generation LIMIT ?5

-- name: attempts_between
SELECT a.run, a.position, a.generation, a.attempt, a.name, a.started_at, a.finished_at, a.error, a.next_attempt_at
FROM attempts AS a
WHERE a.run = ?1 AND a.position > ?2 AND a.position <= ?3 AND NOT EXISTS (
    SELECT 1 FROM journal AS j
    WHERE j.run = a.run AND j.position = a.position AND j.generation = a.generation AND j.finished_at < ?4
)
ORDER BY a.position, a.generation, a.attempt LIMIT ?5

-- name: entries
SELECT run, position, generation, seq, kind, name, outcome, input, output, attempts, started_at, finished_at
FROM journal WHERE run = ? AND position = ? ORDER BY generation

-- name: attempts
SELECT run, position, generation, attempt, name, started_at, finished_at, error, next_attempt_at
FROM attempts WHERE run = ? AND position = ? ORDER BY generation, attempt

-- name: open_entries
SELECT run, position, generation, seq, kind, name, outcome, NULL, output, attempts, started_at, finished_at
FROM journal WHERE run = ? AND (outcome = 'pending' OR kind = 'sleep') ORDER BY position, generation LIMIT ?

-- name: open_attempts
SELECT a.run, a.position, a.generation, a.attempt, a.name, a.started_at, a.finished_at, a.error, a.next_attempt_at
FROM attempts AS a
WHERE a.run = ? AND NOT EXISTS (
    SELECT 1 FROM journal AS j WHERE j.run = a.run AND j.position = a.position AND j.generation = a.generation
)
ORDER BY a.position, a.generation, a.attempt LIMIT ?
