-- What was done, and how much there is to do.
--
-- Guarantees: nothing but reads, each of one moment. A median is a value that there is: of n, number ceil(n / 2).
-- Locks: none.
-- Unlike SQLite, which has no percentiles and counts rows instead, they are what the database calls percentile_disc.

-- name: figures
SELECT /*group*/, e.move, CASE WHEN e.move = 'skip' THEN e.reason END, count(*),
       percentile_disc(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY e.since_us)
FROM holdfast.item_events AS e
WHERE e.tenant = $1 AND e.at >= $2 AND e.at < $3 AND e.demo = $4 /*more*/
GROUP BY 1, 2, 3 ORDER BY 1 NULLS LAST, 2, 3 NULLS FIRST

-- name: efforts
SELECT definition, percentile_disc(0.5) WITHIN GROUP (ORDER BY completed_at - started_at) FROM holdfast.items
WHERE tenant = $1 AND definition IS NOT NULL AND completed_at >= $2 AND started_at IS NOT NULL AND NOT demo
GROUP BY definition ORDER BY definition

-- The newest of each definition are looked at.
-- name: loads
WITH RECURSIVE kinds (definition) AS (
    (SELECT definition FROM holdfast.items
     WHERE tenant = $1 AND definition IS NOT NULL AND completed_at IS NOT NULL AND started_at IS NOT NULL
       AND NOT demo
     ORDER BY definition LIMIT 1)
    UNION ALL
    SELECT n.definition FROM kinds AS k CROSS JOIN LATERAL (
        SELECT i.definition FROM holdfast.items AS i
        WHERE i.tenant = $1 AND i.definition > k.definition AND i.completed_at IS NOT NULL
          AND i.started_at IS NOT NULL AND NOT i.demo
        ORDER BY i.definition LIMIT 1
    ) AS n
), took (definition, us) AS MATERIALIZED (
    SELECT k.definition, i.us FROM kinds AS k CROSS JOIN LATERAL (
        SELECT i.completed_at - i.started_at AS us FROM holdfast.items AS i
        WHERE i.tenant = $1 AND i.definition = k.definition AND i.completed_at IS NOT NULL
          AND i.started_at IS NOT NULL AND NOT i.demo
        ORDER BY i.completed_at DESC LIMIT 1000
    ) AS i
    UNION ALL
    (SELECT NULL, completed_at - started_at FROM holdfast.items
     WHERE tenant = $1 AND definition IS NULL AND completed_at IS NOT NULL AND started_at IS NOT NULL AND NOT demo
     ORDER BY completed_at DESC LIMIT 1000)
), efforts (definition, us) AS MATERIALIZED (
    SELECT definition, percentile_disc(0.5) WITHIN GROUP (ORDER BY us) FROM took GROUP BY definition
), middle (us) AS MATERIALIZED (
    SELECT coalesce(percentile_disc(0.5) WITHIN GROUP (ORDER BY us), 3600000000) FROM took
), open (assignee, definition, items, underway, overdue) AS MATERIALIZED (
    SELECT assignee, definition, count(*), count(*) FILTER (WHERE status = 'underway'),
           count(*) FILTER (WHERE due_at <= $2)
    FROM holdfast.items
    WHERE tenant = $1 AND status IN ('not_started', 'underway', 'snoozed') AND NOT demo
    GROUP BY assignee, definition
)
SELECT o.assignee, sum(o.items)::bigint, sum(o.underway)::bigint, sum(o.overdue)::bigint,
       sum(o.items * coalesce(e.us, m.us))::bigint
FROM open AS o CROSS JOIN middle AS m LEFT JOIN efforts AS e ON e.definition = o.definition
GROUP BY o.assignee ORDER BY o.assignee NULLS LAST
