-- What models were asked for and cost, what runs made, budgets, files of phases, and rates.
--
-- Guarantees and locks are said of each statement. A batch calls `put_artifacts` once it holds the leases, and
-- `record_model_calls` behind everything else: the totals are rows that all workers share, and whoever has changed one
-- keeps it until the batch is committed.

-- Guarantees: a call is stored once, and counts once, in the same transaction. Whether its run is held was asked before.
-- Locks: the rows of the totals, in order of key, the last locks of a batch: batches of several processes wait for each
-- other in one order only. Unlike on SQLite, one statement stores and counts.
-- name: record_model_calls
WITH added AS (
    INSERT INTO holdfast.model_calls (run, position, generation, attempt, number, epoch, tenant, workflow, phase, model,
                                      outcome, error, input_tokens, cached_tokens, output_tokens, cost, began_at,
                                      ended_at)
    SELECT * FROM unnest($1::holdfast.model_call_row[])
    ON CONFLICT DO NOTHING
    RETURNING tenant, ended_at / 86400000000 AS day, workflow, phase, model, outcome, cost, input_tokens, cached_tokens,
              output_tokens
)
INSERT INTO holdfast.model_spend AS s (tenant, day, workflow, phase, model, calls, failed, unpriced, input_tokens,
                                       cached_tokens, output_tokens, cost)
SELECT tenant, day, workflow, phase, model, count(*), count(*) FILTER (WHERE outcome <> 'ok'),
       count(*) FILTER (WHERE cost IS NULL), sum(input_tokens), sum(cached_tokens), sum(output_tokens),
       coalesce(sum(cost), 0)
FROM added GROUP BY tenant, day, workflow, phase, model ORDER BY tenant, day, workflow, phase, model
ON CONFLICT (tenant, day, workflow, phase, model) DO UPDATE SET
    calls = s.calls + excluded.calls, failed = s.failed + excluded.failed, unpriced = s.unpriced + excluded.unpriced,
    input_tokens = s.input_tokens + excluded.input_tokens, cached_tokens = s.cached_tokens + excluded.cached_tokens,
    output_tokens = s.output_tokens + excluded.output_tokens, cost = s.cost + excluded.cost

-- Guarantees: of a place, a name and a generation there is one, the last that was written.
-- Locks: these rows; only who holds their runs writes them. Unlike on SQLite, the leases were asked for before, and no
-- row may come twice.
-- name: put_artifacts
INSERT INTO holdfast.artifacts (run, position, generation, name, tenant, media_type, size_bytes, sha256, location,
                                content, at)
SELECT run, position, generation, name, tenant, media_type, size_bytes, sha256, location, content, at
FROM unnest($1::holdfast.artifact_row[])
ON CONFLICT (run, position, name, generation) DO UPDATE SET
    tenant = excluded.tenant, media_type = excluded.media_type, size_bytes = excluded.size_bytes,
    sha256 = excluded.sha256, location = excluded.location, content = excluded.content, at = excluded.at

-- name: model_calls
SELECT run, position, generation, attempt, number, epoch, tenant, workflow, phase, model, outcome, error, input_tokens,
       cached_tokens, output_tokens, cost, began_at, ended_at
FROM holdfast.model_calls WHERE run = $1 AND tenant = $2
ORDER BY run, position, generation, attempt, epoch, number LIMIT $3

-- Without what a later generation made anew.
-- name: artifacts
SELECT run, position, generation, name, media_type, size_bytes, sha256, location, at
FROM holdfast.artifacts AS a WHERE run = $1 AND tenant = $2 AND NOT EXISTS (
    SELECT FROM holdfast.artifacts AS later
    WHERE later.run = a.run AND later.position = a.position AND later.name = a.name AND later.generation > a.generation
    OFFSET 0
)
ORDER BY run, position, name LIMIT $3

-- name: artifact
SELECT run, position, generation, name, media_type, size_bytes, sha256, location, at, content
FROM holdfast.artifacts WHERE run = $1 AND position = $2 AND name = $3 AND generation = $4 AND tenant = $5

-- Budgets, all at once: of a run by its calls, of a day and of the tenant by the totals. On SQLite each is asked for.
-- name: spent
SELECT s.tokens, s.cost, g.tokens, g.cost
FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
    WITH ORDINALITY AS v (tenant, run, phase, day, first, last, i)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(one.tokens), 0)::bigint AS tokens, coalesce(sum(one.cost), 0)::bigint AS cost FROM (
        SELECT c.input_tokens + c.output_tokens AS tokens, c.cost FROM holdfast.model_calls AS c
        WHERE c.run = v.run AND c.tenant = v.tenant AND (v.phase = '' OR c.phase = v.phase)
        UNION ALL
        SELECT d.input_tokens + d.output_tokens, d.cost FROM holdfast.model_spend AS d
        WHERE v.run = '' AND d.tenant = v.tenant AND d.day BETWEEN v.first AND v.last
    ) AS one
) AS s
CROSS JOIN LATERAL (
    SELECT coalesce(sum(g.tokens), 0)::bigint AS tokens, coalesce(sum(g.cost), 0)::bigint AS cost
    FROM holdfast.budget_grants AS g
    WHERE g.run = v.run AND g.tenant = v.tenant AND g.phase = v.phase AND g.day = v.day
) AS g
ORDER BY v.i

-- Guarantees: once for each id of a tenant.
-- name: grant
INSERT INTO holdfast.budget_grants (tenant, id, run, phase, day, tokens, cost, by, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING

-- Grouped by those of the four that are asked for: the others are NULL in every row.
-- name: costs
SELECT CASE WHEN $4::boolean THEN day END, CASE WHEN $5::boolean THEN workflow END,
       CASE WHEN $6::boolean THEN phase END, CASE WHEN $7::boolean THEN model END,
       sum(calls)::bigint, sum(failed)::bigint, sum(unpriced)::bigint, sum(input_tokens)::bigint,
       sum(cached_tokens)::bigint, sum(output_tokens)::bigint, sum(cost)::bigint
FROM holdfast.model_spend WHERE tenant = $1 AND day >= $2 AND day < $3
GROUP BY 1, 2, 3, 4 ORDER BY 1, 11 DESC, 2, 3, 4 LIMIT $8

-- The same of some runs, found by the key of their requests. SQLite is given them as rows.
-- name: costs_of
SELECT CASE WHEN $4::boolean THEN ended_at / 86400000000 END, CASE WHEN $5::boolean THEN workflow END,
       CASE WHEN $6::boolean THEN phase END, CASE WHEN $7::boolean THEN model END,
       count(*), count(*) FILTER (WHERE outcome <> 'ok'), count(*) FILTER (WHERE cost IS NULL),
       sum(input_tokens)::bigint, sum(cached_tokens)::bigint, sum(output_tokens)::bigint,
       coalesce(sum(cost), 0)::bigint
FROM holdfast.model_calls
WHERE run = ANY ($9::bytea[]) AND tenant = $1 AND ended_at / 86400000000 >= $2 AND ended_at / 86400000000 < $3
GROUP BY 1, 2, 3, 4 ORDER BY 1, 11 DESC, 2, 3, 4 LIMIT $8

-- name: children_of
SELECT uid FROM holdfast.runs WHERE parent_uid = ANY ($2::bytea[]) AND tenant = $1 LIMIT $3

-- Guarantees: it is the newest of its name afterwards, whatever the clocks say of the others. Of two that are kept at
-- once, either may be.
-- name: keep_phases
INSERT INTO holdfast.phase_files AS f (tenant, name, version, content, at)
SELECT $1, $2, $3, $4, greatest($5::bigint, (
    SELECT max(other.at) + 1 FROM holdfast.phase_files AS other
    WHERE other.tenant = $1 AND other.name = $2 AND other.version <> $3
))
ON CONFLICT (tenant, name, version) DO UPDATE SET at = greatest(f.at, excluded.at)

-- name: phases
SELECT tenant, name, version, content, at FROM holdfast.phase_files
WHERE tenant = $1 AND name = $2 AND ($3::text IS NULL OR version = $3) ORDER BY at DESC, version DESC LIMIT 1

-- name: phase_files
SELECT tenant, name, version, content, at FROM holdfast.phase_files AS f WHERE tenant = $1 AND NOT EXISTS (
    SELECT FROM holdfast.phase_files AS later
    WHERE later.tenant = f.tenant AND later.name = f.name AND (later.at, later.version) > (f.at, f.version)
    OFFSET 0
)
ORDER BY name LIMIT $2

-- The generic cell rate algorithm. Guarantees: no two calls get the same place, places of a rest's burst are at once, and
-- none is before the pause that was asked for ends. The burst begins again when the pause ends. The time is read before
-- the wait for the row, so that a place is never given as sooner than it is.
-- Locks: the key's row, until the statement, which is a transaction by itself, is committed.
-- name: reserve
WITH clock AS MATERIALIZED (SELECT holdfast.now_us() AS now)
INSERT INTO holdfast.rates AS r (key, next_at, not_before) SELECT $1, clock.now + $2::bigint, 0 FROM clock
ON CONFLICT (key) DO UPDATE SET next_at = greatest(r.next_at, excluded.next_at - $2::bigint, r.not_before) + $2::bigint
RETURNING greatest(0, greatest(r.next_at - $3::bigint * $2::bigint, r.not_before) - (SELECT now FROM clock))

-- Guarantees: a pause is made longer, never shorter.
-- Locks: the key's row.
-- name: postpone
INSERT INTO holdfast.rates AS r (key, next_at, not_before) VALUES ($1, 0, (SELECT holdfast.now_us()) + $2::bigint)
ON CONFLICT (key) DO UPDATE SET not_before = greatest(r.not_before, excluded.not_before)
