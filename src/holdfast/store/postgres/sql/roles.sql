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

-- In this database; by its owner.
-- name: admit
GRANT USAGE ON SCHEMA holdfast TO holdfast_engine, holdfast_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA holdfast TO holdfast_engine;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA holdfast TO holdfast_engine;
GRANT SELECT ON ALL TABLES IN SCHEMA holdfast TO holdfast_reader;
DROP POLICY IF EXISTS engine ON holdfast.runs;
CREATE POLICY engine ON holdfast.runs TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.lanes;
CREATE POLICY engine ON holdfast.lanes TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.topics;
CREATE POLICY engine ON holdfast.topics TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.deadlines;
CREATE POLICY engine ON holdfast.deadlines TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.attributes;
CREATE POLICY engine ON holdfast.attributes TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.troubled;
CREATE POLICY engine ON holdfast.troubled TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.schedules;
CREATE POLICY engine ON holdfast.schedules TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.users;
CREATE POLICY engine ON holdfast.users TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.keys;
CREATE POLICY engine ON holdfast.keys TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.sessions;
CREATE POLICY engine ON holdfast.sessions TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.audit;
CREATE POLICY engine ON holdfast.audit TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.replies;
CREATE POLICY engine ON holdfast.replies TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.views;
CREATE POLICY engine ON holdfast.views TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.tallies;
CREATE POLICY engine ON holdfast.tallies TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.subjects;
CREATE POLICY engine ON holdfast.subjects TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.signals;
CREATE POLICY engine ON holdfast.signals TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.signal_names;
CREATE POLICY engine ON holdfast.signal_names TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.definitions;
CREATE POLICY engine ON holdfast.definitions TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.definition_versions;
CREATE POLICY engine ON holdfast.definition_versions TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.work_settings;
CREATE POLICY engine ON holdfast.work_settings TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.items;
CREATE POLICY engine ON holdfast.items TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.item_events;
CREATE POLICY engine ON holdfast.item_events TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.places;
CREATE POLICY engine ON holdfast.places TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.item_links;
CREATE POLICY engine ON holdfast.item_links TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.conversations;
CREATE POLICY engine ON holdfast.conversations TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.turns;
CREATE POLICY engine ON holdfast.turns TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.turn_holds;
CREATE POLICY engine ON holdfast.turn_holds TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.turn_line;
CREATE POLICY engine ON holdfast.turn_line TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.model_calls;
CREATE POLICY engine ON holdfast.model_calls TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.model_spend;
CREATE POLICY engine ON holdfast.model_spend TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.chunks;
CREATE POLICY engine ON holdfast.chunks TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.artifacts;
CREATE POLICY engine ON holdfast.artifacts TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.budget_grants;
CREATE POLICY engine ON holdfast.budget_grants TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.phase_files;
CREATE POLICY engine ON holdfast.phase_files TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.graph_checkpoints;
CREATE POLICY engine ON holdfast.graph_checkpoints TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.graph_values;
CREATE POLICY engine ON holdfast.graph_values TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.graph_writes;
CREATE POLICY engine ON holdfast.graph_writes TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.graph_items;
CREATE POLICY engine ON holdfast.graph_items TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.intake_sources;
CREATE POLICY engine ON holdfast.intake_sources TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.intake_entries;
CREATE POLICY engine ON holdfast.intake_entries TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.shadow_outcomes;
CREATE POLICY engine ON holdfast.shadow_outcomes TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.alerts;
CREATE POLICY engine ON holdfast.alerts TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.diversions;
CREATE POLICY engine ON holdfast.diversions TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.start_limits;
CREATE POLICY engine ON holdfast.start_limits TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.gathers;
CREATE POLICY engine ON holdfast.gathers TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.duties;
CREATE POLICY engine ON holdfast.duties TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.queue_weights;
CREATE POLICY engine ON holdfast.queue_weights TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.lost_workers;
CREATE POLICY engine ON holdfast.lost_workers TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.messages;
CREATE POLICY engine ON holdfast.messages TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.message_lines;
CREATE POLICY engine ON holdfast.message_lines TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.message_places;
CREATE POLICY engine ON holdfast.message_places TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.message_attempts;
CREATE POLICY engine ON holdfast.message_attempts TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.publish_settings;
CREATE POLICY engine ON holdfast.publish_settings TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.message_queue;
CREATE POLICY engine ON holdfast.message_queue TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.message_sends;
CREATE POLICY engine ON holdfast.message_sends TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.rates;
CREATE POLICY engine ON holdfast.rates TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.ready;
CREATE POLICY engine ON holdfast.ready TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.running;
CREATE POLICY engine ON holdfast.running TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.parked;
CREATE POLICY engine ON holdfast.parked TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.journal;
CREATE POLICY engine ON holdfast.journal TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.attempts;
CREATE POLICY engine ON holdfast.attempts TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.members;
CREATE POLICY engine ON holdfast.members TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.waits;
CREATE POLICY engine ON holdfast.waits TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.deliveries;
CREATE POLICY engine ON holdfast.deliveries TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.blobs;
CREATE POLICY engine ON holdfast.blobs TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.blob_parts;
CREATE POLICY engine ON holdfast.blob_parts TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.blob_uses;
CREATE POLICY engine ON holdfast.blob_uses TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.progress;
CREATE POLICY engine ON holdfast.progress TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.events;
CREATE POLICY engine ON holdfast.events TO holdfast_engine USING (true);
DROP POLICY IF EXISTS engine ON holdfast.failures;
CREATE POLICY engine ON holdfast.failures TO holdfast_engine USING (true)

-- Becomes the reader of a tenant until the transaction ends.
-- name: read_as
SELECT set_config('holdfast.tenant', $1, true)

-- name: read_as_all
SET LOCAL ROLE NONE
