-- Duties that one process has at a time, and alerts.
--
-- Guarantees: a duty's term rises with each holder, and alerts are written in the term in which they were found only.
-- An alert is known by its rule, what it is about and since when. Transactions follow each other, so that no row is
-- locked, unlike on PostgreSQL.

-- name: lead
INSERT INTO duties AS d (name, holder, term, until)
SELECT :duty, :holder, 1, (SELECT holdfast_now_us() + offset_us FROM clock) + :lease WHERE true
ON CONFLICT (name) DO UPDATE SET
    term = d.term + (d.holder IS NOT excluded.holder), holder = excluded.holder, until = excluded.until
WHERE d.holder IS excluded.holder OR d.until <= excluded.until - :lease
RETURNING term

-- name: let_go
UPDATE duties SET holder = NULL, until = 0 WHERE name = ? AND holder = ?

-- name: term
SELECT term FROM duties WHERE name = ?

-- name: open_alerts
SELECT tenant, rule, about, state, severity, value, text, since, fired_at, resolved_at, told_at
FROM alerts WHERE resolved_at IS NULL ORDER BY tenant, rule, about, since

-- Those that fire, then pending ones, then those resolved last.
-- name: alerts
SELECT tenant, rule, about, state, severity, value, text, since, fired_at, resolved_at, told_at FROM (
    SELECT * FROM (
        SELECT * FROM alerts WHERE tenant = :tenant AND resolved_at IS NULL AND (:state IS NULL OR state = :state)
        ORDER BY state = 'pending', coalesce(fired_at, since) DESC, rule, about LIMIT :limit
    )
    UNION ALL
    SELECT * FROM (
        SELECT * FROM alerts
        WHERE tenant = :tenant AND resolved_at IS NOT NULL AND (:state IS NULL OR :state = 'resolved')
        ORDER BY resolved_at DESC, rule, about LIMIT :limit
    )
)
ORDER BY CASE state WHEN 'firing' THEN 0 WHEN 'pending' THEN 1 ELSE 2 END, coalesce(resolved_at, fired_at, since) DESC,
         rule, about LIMIT :limit

-- name: put_alerts
INSERT INTO alerts (tenant, rule, about, state, severity, value, text, since, fired_at, resolved_at, told_at)
VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, rule, about, since) DO UPDATE SET
    state = excluded.state, severity = excluded.severity, value = excluded.value, text = excluded.text,
    fired_at = excluded.fired_at, resolved_at = excluded.resolved_at, told_at = excluded.told_at

-- name: delete_alerts
DELETE FROM alerts WHERE rowid IN (
    SELECT a.rowid FROM (VALUES /*rows*/ (?, ?, ?, ?)) AS v
    JOIN alerts AS a ON a.tenant = v.column1 AND a.rule = v.column2 AND a.about = v.column3 AND a.since = v.column4
)

-- name: prune_alerts
DELETE FROM alerts WHERE rowid IN (
    SELECT rowid FROM alerts WHERE resolved_at IS NOT NULL AND resolved_at < ?1 ORDER BY resolved_at LIMIT ?2
)
