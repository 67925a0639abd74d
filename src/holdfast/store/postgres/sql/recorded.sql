-- What a replay reads: runs, and what is recorded of them. Read-only; each statement of its own
-- instant. On SQLite each id is a parameter; here all are one.

-- As a run is shown, see `rows` in look.sql, without what only people look at.
-- name: runs
SELECT r.uid, r.tenant, r.id, r.workflow, r.version, r.queue, r.priority,
       CASE WHEN r.status <> 'open' THEN r.status
            WHEN EXISTS (SELECT FROM holdfast.running AS g WHERE g.run = r.uid) THEN 'running'
            WHEN EXISTS (SELECT FROM holdfast.parked AS p WHERE p.run = r.uid AND p.epoch > 0) THEN 'waiting'
            ELSE 'queued' END,
       r.generation, r.input, r.output, r.attributes, NULL, r.rescues, NULL, r.created_at, NULL, NULL, NULL, NULL,
       r.control, r.cuts
FROM unnest($2::bytea[]) AS v (uid)
CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.uid = v.uid OFFSET 0) AS r
WHERE r.tenant = $1 AND ($3::text IS NULL OR NOT starts_with(r.workflow, $3))

-- name: entries
SELECT kind, name, outcome, output, seq, generation, run, position
FROM holdfast.journal WHERE run = ANY ($1::bytea[]) ORDER BY run, position, generation

-- The order of what is collected is that of the primary key, (run, position, generation). What is no such step, or is long,
-- has no value, so that a run of very many entries is not collected. The runs are taken the newest first, since tables
-- are filled from the end of a page: the journals then lie one behind the other in memory.
-- name: steps
SELECT r.uid, r.id, r.workflow, r.version, r.input, r.output, j.names, j.outputs, j.last
FROM (SELECT * FROM holdfast.runs WHERE uid = ANY ($2::bytea[]) ORDER BY uid DESC OFFSET 0) AS r
CROSS JOIN LATERAL (
    SELECT string_agg(CASE WHEN length(position) = 1 THEN name ELSE '' END, E'\x1e' ORDER BY position, generation) AS names,
           string_agg(CASE WHEN kind = 'step' AND outcome = 'ok' AND length(position) = 1 AND length(output) <= 1024
                           THEN output END, '\x1e'::bytea ORDER BY position, generation) AS outputs,
           max(get_byte(position, 0)) AS last
    FROM holdfast.journal AS j WHERE j.run = r.uid OFFSET 0
) AS j
WHERE r.tenant = $1 AND r.status = 'succeeded' AND r.cuts IS NULL AND length(r.input) <= 16384 AND length(r.output) <= 16384
      AND ($3::text IS NULL OR NOT starts_with(r.workflow, $3))
