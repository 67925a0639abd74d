-- What alerts are measured by, over all tenants.
--
-- Guarantees: each is a look into an index, and none counts further than its limit. Locks: nothing.

-- The next tenant after each, so that it is one look, however much a tenant has; and no further than asked.
-- name: tenants
WITH RECURSIVE running (tenant) AS (
    SELECT min(tenant) FROM holdfast.runs
    UNION ALL
    SELECT (SELECT min(tenant) FROM holdfast.runs WHERE tenant > k.tenant) FROM running AS k WHERE k.tenant IS NOT NULL
), reading (tenant) AS (
    SELECT min(tenant) FROM holdfast.intake_sources
    UNION ALL
    SELECT (SELECT min(tenant) FROM holdfast.intake_sources WHERE tenant > k.tenant)
    FROM reading AS k WHERE k.tenant IS NOT NULL
), sending (tenant) AS (
    SELECT min(tenant) FROM holdfast.messages
    UNION ALL
    SELECT (SELECT min(tenant) FROM holdfast.messages WHERE tenant > k.tenant)
    FROM sending AS k WHERE k.tenant IS NOT NULL
)
SELECT tenant FROM (
    (SELECT tenant FROM running LIMIT $1)
    UNION (SELECT tenant FROM reading LIMIT $1)
    UNION (SELECT tenant FROM sending LIMIT $1)
) AS k
WHERE tenant IS NOT NULL ORDER BY tenant LIMIT $1

-- name: depths
SELECT y.runs FROM unnest($1::text[]) WITH ORDINALITY AS n (queue, place) CROSS JOIN LATERAL (
    SELECT count(*) AS runs FROM (SELECT FROM holdfast.ready AS y WHERE y.queue = n.queue LIMIT $2) AS y
) AS y
ORDER BY n.place

-- name: ended
SELECT tenant, span, since, workflow, status, process, runs, waited_us, took_us, waits, tooks FROM holdfast.tallies
WHERE span = $1 AND since >= $2 ORDER BY since

-- What a run is held with says who holds it; what others ended with is not wanted.
-- name: troubled
SELECT r.workflow, CASE WHEN t.status = 'held' THEN r.output END
FROM (
    SELECT status, run FROM holdfast.troubled WHERE tenant = $1 AND status = $2 ORDER BY run DESC LIMIT $3
) AS t
CROSS JOIN LATERAL (SELECT workflow, output FROM holdfast.runs AS r WHERE r.uid = t.run OFFSET 0) AS r

-- name: lost_workers
SELECT host, pid, at FROM holdfast.lost_workers WHERE at >= $1 ORDER BY at DESC, id LIMIT $2
