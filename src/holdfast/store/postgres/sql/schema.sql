-- What is known of the database and its schema. `lock` lasts until the transaction ends, so that of many
-- processes that open an empty database at once one makes the schema, and the others find it.

-- name: lock
SELECT pg_advisory_xact_lock(7525352680829580148)

-- name: found
-- By the catalogue's tables: to_regnamespace and the like may answer from a cache that is older than the lock.
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'holdfast'),
       EXISTS (SELECT FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
               JOIN pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = 'holdfast' AND c.relname = 'meta' AND a.attname = 'version'
                 AND a.atttypid = 'integer'::regtype),
       EXISTS (SELECT FROM pg_namespace WHERE nspname = 'holdfast' AND NOT has_schema_privilege(oid, 'USAGE'))

-- name: version
SELECT version FROM holdfast.meta

-- name: set_version
INSERT INTO holdfast.meta (version) VALUES ($1) ON CONFLICT (one) DO UPDATE SET version = excluded.version

-- The tables among these names, and those of indexes among them, in one order for everybody.
-- name: tables
SELECT DISTINCT t.oid::regclass::text COLLATE "C" AS name
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
JOIN pg_class AS t ON t.oid = coalesce(i.indrelid, c.oid)
WHERE n.nspname = 'holdfast' AND t.relkind = 'r' AND c.relname = ANY ($1::text[])
ORDER BY 1

-- name: durable
SELECT format('fsync=%s, synchronous_commit=%s, full_page_writes=%s', current_setting('fsync'),
              current_setting('synchronous_commit'), current_setting('full_page_writes'))

-- name: notify
SELECT pg_notify('holdfast', $1)
