-- What a replay reads: runs, and what is recorded of them. Read-only; all of one instant.
-- On PostgreSQL the ids are one parameter; here each is one.

-- The keys of a search, see look.sql.
-- name: keys
SELECT r.uid FROM /*from*/ runs AS r

-- As a run is shown, see `runs` in look.sql, without what only people look at.
-- name: runs
SELECT r.uid, r.tenant, r.id, r.workflow, r.version, r.queue, r.priority,
       CASE WHEN r.status <> 'open' THEN r.status WHEN EXISTS (SELECT 1 FROM running AS g WHERE g.run = r.uid) THEN 'running'
            WHEN EXISTS (SELECT 1 FROM parked AS p WHERE p.run = r.uid AND p.epoch > 0) THEN 'waiting' ELSE 'queued' END,
       r.generation, r.input, r.output, r.attributes, NULL, r.rescues, NULL, r.created_at, NULL, NULL, NULL, NULL,
       r.control, r.cuts
FROM runs AS r
WHERE r.uid IN (VALUES /*rows*/ (?)) AND +r.tenant = ? AND coalesce(substr(r.workflow, 1, length(?)) <> ?, true)

-- The tenant is checked at the run, once for all of its entries, which are read past what stands for them in policy.sql.
-- name: entries
SELECT j.kind, j.name, j.outcome, j.output, j.seq, j.generation, j.run, j.position
FROM runs AS r CROSS JOIN main.journal AS j ON j.run = r.uid
WHERE r.uid IN (VALUES /*rows*/ (?)) ORDER BY r.uid, j.position, j.generation

-- Entry by entry in their order: the primary key of a journal is (run, position, generation). What is no such step, or is
-- long, is empty, so that a run of very many entries is not collected.
-- name: steps
SELECT r.uid, r.id, r.workflow, r.version, r.input, r.output,
       (SELECT CAST(group_concat(CASE WHEN j.kind = 'step' AND j.outcome = 'ok' AND length(j.position) = 1
                                           AND length(j.output) <= 1024
                                      THEN j.name || j.output ELSE '' END, x'1e') AS BLOB)
        FROM main.journal AS j WHERE j.run = r.uid),
       (SELECT j.position FROM main.journal AS j WHERE j.run = r.uid ORDER BY j.position DESC LIMIT 1)
FROM runs AS r
WHERE r.uid IN (VALUES /*rows*/ (?)) AND +r.tenant = ? AND r.status = 'succeeded' AND r.cuts IS NULL
      AND length(r.input) <= 16384 AND length(r.output) <= 16384
      AND coalesce(substr(r.workflow, 1, length(?)) <> ?, true)
