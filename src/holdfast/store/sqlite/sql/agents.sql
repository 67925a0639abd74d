-- What models were asked for and cost, what runs made, budgets, files of phases, and rates. All of it runs inside one
-- BEGIN IMMEDIATE … COMMIT, so that nothing else writes meanwhile: no row needs a lock of its own, unlike on PostgreSQL.

-- Guarantees: a call is stored once, and only while its run is held under its epoch. It gives what was stored just now,
-- as it counts in the totals; a repeated batch gives nothing. On PostgreSQL one statement stores calls and counts them.
-- Not IS NULL: SQLite 3.40 gives 0 for it where rows of a table without rowid are returned.
-- name: insert_model_calls
INSERT INTO model_calls (run, position, generation, attempt, number, epoch, tenant, workflow, phase, model, outcome,
                         error, input_tokens, cached_tokens, output_tokens, cost, began_at, ended_at)
SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9, column10, column11, column12,
       column13, column14, column15, column16, column17, column18
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS v
WHERE EXISTS (SELECT 1 FROM running WHERE run = v.column1 AND epoch = v.column6)
ON CONFLICT DO NOTHING
RETURNING tenant, ended_at / 86400000000, workflow, phase, model, 1, outcome <> 'ok', typeof(cost) = 'null',
          input_tokens, cached_tokens, output_tokens, coalesce(cost, 0)

-- Guarantees: what was stored just now is added, each row by itself; the sum is that of all calls ever.
-- name: add_spend
INSERT INTO model_spend (tenant, day, workflow, phase, model, calls, failed, unpriced, input_tokens, cached_tokens,
                         output_tokens, cost)
SELECT * FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS v WHERE true
ON CONFLICT (tenant, day, workflow, phase, model) DO UPDATE SET
    calls = calls + excluded.calls, failed = failed + excluded.failed, unpriced = unpriced + excluded.unpriced,
    input_tokens = input_tokens + excluded.input_tokens, cached_tokens = cached_tokens + excluded.cached_tokens,
    output_tokens = output_tokens + excluded.output_tokens, cost = cost + excluded.cost

-- Guarantees: of a place, a name and a generation there is one, the last that was written while its run was held under
-- its epoch.
-- name: put_artifacts
INSERT INTO artifacts (run, position, generation, name, tenant, media_type, size_bytes, sha256, location, content, at)
SELECT column1, column2, column3, column4, column6, column7, column8, column9, column10, column11, column12
FROM (VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS v
WHERE EXISTS (SELECT 1 FROM running WHERE run = v.column1 AND epoch = v.column5)
ON CONFLICT (run, position, name, generation) DO UPDATE SET
    tenant = excluded.tenant, media_type = excluded.media_type, size_bytes = excluded.size_bytes,
    sha256 = excluded.sha256, location = excluded.location, content = excluded.content, at = excluded.at

-- name: model_calls
SELECT run, position, generation, attempt, number, epoch, tenant, workflow, phase, model, outcome, error, input_tokens,
       cached_tokens, output_tokens, cost, began_at, ended_at
FROM model_calls WHERE run = :run AND tenant = :tenant
ORDER BY position, generation, attempt, epoch, number LIMIT :limit

-- Without what a later generation made anew.
-- name: artifacts
SELECT run, position, generation, name, media_type, size_bytes, sha256, location, at
FROM artifacts AS a WHERE run = :run AND tenant = :tenant AND NOT EXISTS (
    SELECT 1 FROM artifacts AS later
    WHERE later.run = a.run AND later.position = a.position AND later.name = a.name AND later.generation > a.generation
)
ORDER BY position, name LIMIT :limit

-- name: artifact
SELECT run, position, generation, name, media_type, size_bytes, sha256, location, at, content
FROM artifacts WHERE run = :run AND position = :position AND name = :name AND generation = :generation
    AND tenant = :tenant

-- One budget: of a run by its calls, of a day and of the tenant by the totals. PostgreSQL is asked for all at once. The
-- plus signs keep the key of grants out of it, by which all of a tenant's would be read.
-- name: spent
SELECT coalesce(sum(s.tokens), 0), coalesce(sum(s.cost), 0), (
    SELECT coalesce(sum(g.tokens), 0) FROM budget_grants AS g
    WHERE g.run = :run AND +g.tenant = :tenant AND g.phase = :phase AND g.day = :day
), (
    SELECT coalesce(sum(g.cost), 0) FROM budget_grants AS g
    WHERE g.run = :run AND +g.tenant = :tenant AND g.phase = :phase AND g.day = :day
)
FROM (
    SELECT input_tokens + output_tokens AS tokens, cost FROM model_calls
    WHERE run = :run AND tenant = :tenant AND (:phase = '' OR phase = :phase)
    UNION ALL
    SELECT input_tokens + output_tokens, cost FROM model_spend
    WHERE :run = X'' AND tenant = :tenant AND day BETWEEN :first AND :last
) AS s

-- Guarantees: once for each id of a tenant.
-- name: grant
INSERT INTO budget_grants (tenant, id, run, phase, day, tokens, cost, by, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- Grouped by those of the four that are asked for: the others are NULL in every row.
-- name: costs
SELECT CASE WHEN :by_day THEN day END AS by_day, CASE WHEN :by_workflow THEN workflow END AS by_workflow,
       CASE WHEN :by_phase THEN phase END AS by_phase, CASE WHEN :by_model THEN model END AS by_model,
       sum(calls), sum(failed), sum(unpriced), sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(cost)
FROM model_spend WHERE tenant = :tenant AND day >= :since AND day < :until
GROUP BY 1, 2, 3, 4 ORDER BY 1, 11 DESC, 2, 3, 4 LIMIT :limit

-- The same of some runs, found by the key of their requests. PostgreSQL is given them as one array.
-- name: costs_of
SELECT CASE WHEN ? THEN ended_at / 86400000000 END AS by_day, CASE WHEN ? THEN workflow END AS by_workflow,
       CASE WHEN ? THEN phase END AS by_phase, CASE WHEN ? THEN model END AS by_model,
       count(*), sum(outcome <> 'ok'), sum(cost IS NULL), sum(input_tokens), sum(cached_tokens), sum(output_tokens),
       coalesce(sum(cost), 0)
FROM model_calls
WHERE run IN (VALUES /*rows*/ (?)) AND tenant = ? AND ended_at / 86400000000 >= ? AND ended_at / 86400000000 < ?
GROUP BY 1, 2, 3, 4 ORDER BY 1, 11 DESC, 2, 3, 4 LIMIT ?

-- name: children_of
SELECT uid FROM runs WHERE parent_uid IN (VALUES /*rows*/ (?)) AND +tenant = ? LIMIT ?

-- Guarantees: it is the newest of its name afterwards, whatever the clocks say of the others.
-- name: keep_phases
INSERT INTO phase_files (tenant, name, version, content, at)
SELECT :tenant, :name, :version, :content, max(:at, coalesce(max(at) + 1, 0))
FROM phase_files WHERE tenant = :tenant AND name = :name AND version <> :version
ON CONFLICT (tenant, name, version) DO UPDATE SET at = max(at, excluded.at)

-- name: phases
SELECT tenant, name, version, content, at FROM phase_files
WHERE tenant = :tenant AND name = :name AND (:version IS NULL OR version = :version) ORDER BY at DESC, version DESC LIMIT 1

-- name: phase_files
SELECT tenant, name, version, content, at FROM phase_files AS f WHERE tenant = :tenant AND NOT EXISTS (
    SELECT 1 FROM phase_files AS later
    WHERE later.tenant = f.tenant AND later.name = f.name AND (later.at, later.version) > (f.at, f.version)
)
ORDER BY name LIMIT :limit

-- The generic cell rate algorithm. Guarantees: no two calls get the same place, places of a rest's burst are at once, and
-- none is before the pause that was asked for ends. The burst begins again when the pause ends.
-- name: reserve
INSERT INTO rates (key, next_at, not_before)
SELECT :key, (SELECT holdfast_now_us() + offset_us FROM clock) + :interval, 0 WHERE true
ON CONFLICT (key) DO UPDATE SET next_at = max(next_at, excluded.next_at - :interval, not_before) + :interval
RETURNING next_at - :burst * :interval, not_before, (SELECT holdfast_now_us() + offset_us FROM clock)

-- Guarantees: a pause is made longer, never shorter.
-- name: postpone
INSERT INTO rates (key, next_at, not_before)
SELECT :key, 0, (SELECT holdfast_now_us() + offset_us FROM clock) + :pause WHERE true
ON CONFLICT (key) DO UPDATE SET not_before = max(not_before, excluded.not_before)
