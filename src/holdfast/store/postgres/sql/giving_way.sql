-- Who holds a table that is waited for. Locks nothing.
-- SQLite has one lock, for the whole file.

-- Whoever may not see what others do sees their process ids.
-- name: holders
SELECT concat(
           'process ', l.pid,
           coalesce(' (' || nullif(concat_ws(', ', a.usename, nullif(a.application_name, ''),
                                             nullif(a.backend_type, 'client backend'), a.state), '') || ')', ''),
           ' holds it',
           coalesce(' for ' || round(extract(epoch FROM clock_timestamp() - a.xact_start)) || ' s', '')
       ) AS said
FROM (
    SELECT DISTINCT pid FROM pg_locks
    WHERE locktype = 'relation' AND granted AND relation = $1::text::regclass
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
) AS l
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
ORDER BY a.xact_start NULLS LAST, l.pid
LIMIT 5
