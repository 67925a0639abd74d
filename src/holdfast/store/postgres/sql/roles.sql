-- The roles of PostgreSQL that holdfast knows. They belong to the whole cluster, and to all databases in it.
--
-- holdfast_engine: whoever is a member works as the engine, and sees the rows of all tenants.
-- holdfast_reader: what the engine becomes, inside a transaction, to read as one tenant.
-- Each statement may be repeated. Of processes that make the roles at once, in whatever databases, one makes
-- them, and the others are told by an error that they are there: the caller looks again.
-- SQLite has no roles.

-- name: found
SELECT e.oid IS NOT NULL AS engine, r.oid IS NOT NULL AS reader, me.rolname::text AS me,
       me.rolsuper OR me.rolcreaterole AS may_create,
       coalesce(pg_has_role(e.oid, r.oid, 'MEMBER'), false) AS engine_reads,
       me.rolsuper OR coalesce(pg_has_role(me.oid, e.oid, 'USAGE'), false) AS is_engine,
       me.rolsuper OR coalesce(pg_has_role(me.oid, r.oid, 'MEMBER'), false) AS reads,
       n.oid IS NOT NULL AS made, pg_get_userbyid(n.nspowner)::text AS owner,
       me.rolsuper OR coalesce(pg_has_role(me.oid, n.nspowner, 'USAGE'), false) AS owns,
       coalesce(has_schema_privilege(me.oid, n.oid, 'USAGE'), false) AS enters,
       coalesce((
           SELECT bool_and(has_table_privilege(e.oid, c.oid, 'INSERT') AND has_table_privilege(r.oid, c.oid, 'SELECT')
              AND (NOT c.relrowsecurity OR EXISTS (
                  SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polname = 'engine' AND e.oid = ANY (p.polroles)
              )))
           FROM pg_class AS c WHERE c.relnamespace = n.oid AND c.relkind = 'r'
       ), false) AS admitted,
       me.rolsuper OR me.rolbypassrls OR NOT EXISTS (
           SELECT FROM pg_class AS c WHERE c.relnamespace = n.oid AND c.relname = 'runs' AND c.relrowsecurity
              AND NOT EXISTS (
                  SELECT FROM pg_policy AS p CROSS JOIN LATERAL unnest(p.polroles) AS role
                  WHERE p.polrelid = c.oid AND p.polname IN ('owner', 'engine') AND pg_has_role(me.oid, role, 'USAGE')
              )
       ) AS sees_all
FROM pg_roles AS me
LEFT JOIN pg_roles AS e ON e.rolname = 'holdfast_engine'
LEFT JOIN pg_roles AS r ON r.rolname = 'holdfast_reader'
LEFT JOIN pg_namespace AS n ON n.nspname = 'holdfast'
WHERE me.rolname = current_user

-- name: create_engine
CREATE ROLE holdfast_engine NOLOGIN

-- name: create_reader
CREATE ROLE holdfast_reader NOLOGIN

-- name: engine_reads
GRANT holdfast_reader TO holdfast_engine

-- name: is_engine
GRANT holdfast_engine TO CURRENT_USER

-- name: before
SAVEPOINT before

-- name: back
ROLLBACK TO before

-- In this database; by its owner. First what is no table's.
-- name: admit
GRANT USAGE ON SCHEMA holdfast TO holdfast_engine, holdfast_reader;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA holdfast TO holdfast_engine

-- Then each table that lacks something, by itself: what gives it that is one transaction and locks nothing else. Runs
-- come last: without them nobody works as the engine. The same conditions as of `admitted`.
-- name: lacking
SELECT c.oid::regclass::text AS name,
       format('GRANT SELECT, INSERT, UPDATE, DELETE ON %1$s TO holdfast_engine; GRANT SELECT ON %1$s TO holdfast_reader',
              c.oid::regclass)
       || CASE WHEN c.relrowsecurity THEN format(
              '; DROP POLICY IF EXISTS engine ON %1$s; CREATE POLICY engine ON %1$s TO holdfast_engine USING (true)',
              c.oid::regclass) ELSE '' END AS admit
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_roles AS e ON e.rolname = 'holdfast_engine'
JOIN pg_roles AS r ON r.rolname = 'holdfast_reader'
WHERE n.nspname = 'holdfast' AND c.relkind = 'r' AND NOT (
    has_table_privilege(e.oid, c.oid, 'INSERT') AND has_table_privilege(r.oid, c.oid, 'SELECT')
    AND (NOT c.relrowsecurity OR EXISTS (
        SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polname = 'engine' AND e.oid = ANY (p.polroles)
    ))
)
ORDER BY c.relname = 'runs', c.relname

-- Becomes the reader of a tenant until the transaction ends.
-- name: read_as
SELECT set_config('holdfast.tenant', $1, true)

-- The policies compare the tenant in every lookup: while a table is small, each index that begins with it seems as good as
-- that of the key. Such a plan is not to be kept, since the table may grow.
-- name: plan_anew
SET LOCAL plan_cache_mode = force_custom_plan

-- name: read_as_all
SET LOCAL ROLE NONE
