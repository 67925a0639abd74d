-- What alerts are measured by, over all tenants. Each is a look into an index, and none counts further than its limit.

-- The next tenant after each, so that it is one look, however much a tenant has; and no further than asked.
-- name: tenants
WITH RECURSIVE running (tenant) AS (
    SELECT min(tenant) FROM runs
    UNION ALL SELECT (SELECT min(tenant) FROM runs WHERE tenant > k.tenant) FROM running AS k WHERE k.tenant IS NOT NULL
), reading (tenant) AS (
    SELECT min(tenant) FROM intake_sources
    UNION ALL
    SELECT (SELECT min(tenant) FROM intake_sources WHERE tenant > k.tenant) FROM reading AS k WHERE k.tenant IS NOT NULL
), sending (tenant) AS (
    SELECT min(tenant) FROM messages
    UNION ALL
    SELECT (SELECT min(tenant) FROM messages WHERE tenant > k.tenant) FROM sending AS k WHERE k.tenant IS NOT NULL
)
SELECT tenant FROM (
    SELECT * FROM (SELECT tenant FROM running LIMIT :limit)
    UNION SELECT * FROM (SELECT tenant FROM reading LIMIT :limit)
    UNION SELECT * FROM (SELECT tenant FROM sending LIMIT :limit)
)
WHERE tenant IS NOT NULL ORDER BY tenant LIMIT :limit

-- name: depth
SELECT count(*) FROM (SELECT 1 FROM ready WHERE queue = ? LIMIT ?)

-- name: ended
SELECT tenant, span, since, workflow, status, process, runs, waited_us, took_us, waits, tooks FROM tallies
WHERE span = :span AND since >= :since ORDER BY since

-- What a run is held with says who holds it; what others ended with is not wanted.
-- name: troubled
SELECT r.workflow, CASE WHEN t.status = 'held' THEN r.output END
FROM (SELECT status, run FROM troubled WHERE tenant = :tenant AND status = :status ORDER BY run DESC LIMIT :limit) AS t
CROSS JOIN runs AS r ON r.uid = t.run

-- name: lost_workers
SELECT host, pid, at FROM lost_workers WHERE at >= :since ORDER BY at DESC, id LIMIT :limit
