-- Duties that one process has at a time, and alerts.
--
-- Guarantees: a duty's term rises with each holder, and alerts are written in the term in which they were found only.
-- An alert is known by its rule, what it is about and since when.
-- Locks: the row of the duty; shared by whoever writes in its term, so that the next one begins afterwards, or was
-- there before. Alerts are written by who leads only. Unlike on SQLite, where transactions follow each other.

-- The time is read before the wait for the row: a lease never ends later than its holder thinks.
-- name: lead
WITH clock AS MATERIALIZED (SELECT holdfast.now_us() AS now)
INSERT INTO holdfast.duties AS d (name, holder, term, until) SELECT $1, $2, 1, clock.now + $3::bigint FROM clock
ON CONFLICT (name) DO UPDATE SET
    term = d.term + CASE WHEN d.holder = excluded.holder THEN 0 ELSE 1 END, holder = excluded.holder,
    until = excluded.until
WHERE d.holder = excluded.holder OR d.until <= excluded.until - $3::bigint
RETURNING d.term

-- name: let_go
UPDATE holdfast.duties SET holder = NULL, until = 0 WHERE name = $1 AND holder = $2

-- name: term
SELECT term FROM holdfast.duties WHERE name = $1 FOR SHARE

-- name: open_alerts
SELECT tenant, rule, about, state, severity, value, text, since, fired_at, resolved_at, told_at
FROM holdfast.alerts WHERE resolved_at IS NULL ORDER BY tenant, rule, about, since

-- Those that fire, then pending ones, then those resolved last.
-- name: alerts
SELECT tenant, rule, about, state, severity, value, text, since, fired_at, resolved_at, told_at FROM (
    SELECT * FROM (
        SELECT * FROM holdfast.alerts
        WHERE tenant = $1 AND resolved_at IS NULL AND ($2::text IS NULL OR state = $2)
        ORDER BY state = 'pending', coalesce(fired_at, since) DESC, rule, about LIMIT $3
    ) AS open
    UNION ALL
    SELECT * FROM (
        SELECT * FROM holdfast.alerts
        WHERE tenant = $1 AND resolved_at IS NOT NULL AND ($2::text IS NULL OR $2 = 'resolved')
        ORDER BY resolved_at DESC, rule, about LIMIT $3
    ) AS over
) AS a
ORDER BY CASE state WHEN 'firing' THEN 0 WHEN 'pending' THEN 1 ELSE 2 END, coalesce(resolved_at, fired_at, since) DESC,
         rule, about LIMIT $3

-- name: put_alerts
INSERT INTO holdfast.alerts (tenant, rule, about, state, severity, value, text, since, fired_at, resolved_at, told_at)
SELECT * FROM unnest($1::holdfast.alert_row[])
ON CONFLICT (tenant, rule, about, since) DO UPDATE SET
    state = excluded.state, severity = excluded.severity, value = excluded.value, text = excluded.text,
    fired_at = excluded.fired_at, resolved_at = excluded.resolved_at, told_at = excluded.told_at

-- name: delete_alerts
DELETE FROM holdfast.alerts WHERE ctid = ANY (ARRAY(
    SELECT a.place FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS v (tenant, rule, about, since)
    CROSS JOIN LATERAL (
        SELECT x.ctid AS place FROM holdfast.alerts AS x
        WHERE x.tenant = v.tenant AND x.rule = v.rule AND x.about = v.about AND x.since >= v.since AND x.since <= v.since
        ORDER BY x.since LIMIT 1
    ) AS a
))

-- name: prune_alerts
DELETE FROM holdfast.alerts WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM holdfast.alerts WHERE resolved_at IS NOT NULL AND resolved_at < $1 ORDER BY resolved_at LIMIT $2
))
