-- What one tenant may read. SQLite has no row-level security: in front of a statement stand these tables under
-- the names of the real ones, so that it finds nothing else, whatever it asks for. `holdfast_tenant()` is the
-- tenant that reads.
--
-- NOT MATERIALIZED lets the conditions of the statement go down to the real table. The plus signs keep the
-- indexes of tenants out of it: the statement names the tenant itself where they are of use.

-- name: tables
WITH runs AS NOT MATERIALIZED (SELECT * FROM main.runs WHERE +tenant = holdfast_tenant()),
lanes AS NOT MATERIALIZED (SELECT * FROM main.lanes WHERE +tenant = holdfast_tenant()),
topics AS NOT MATERIALIZED (SELECT * FROM main.topics WHERE +tenant = holdfast_tenant()),
deadlines AS NOT MATERIALIZED (SELECT * FROM main.deadlines WHERE +tenant = holdfast_tenant()),
attributes AS NOT MATERIALIZED (SELECT * FROM main.attributes WHERE +tenant = holdfast_tenant()),
troubled AS NOT MATERIALIZED (SELECT * FROM main.troubled WHERE +tenant = holdfast_tenant()),
schedules AS NOT MATERIALIZED (SELECT * FROM main.schedules WHERE +tenant = holdfast_tenant()),
users AS NOT MATERIALIZED (SELECT * FROM main.users WHERE +tenant = holdfast_tenant()),
keys AS NOT MATERIALIZED (SELECT * FROM main.keys WHERE +tenant = holdfast_tenant()),
sessions AS NOT MATERIALIZED (SELECT * FROM main.sessions WHERE +tenant = holdfast_tenant()),
audit AS NOT MATERIALIZED (SELECT * FROM main.audit WHERE +tenant = holdfast_tenant()),
replies AS NOT MATERIALIZED (SELECT * FROM main.replies WHERE +tenant = holdfast_tenant()),
views AS NOT MATERIALIZED (SELECT * FROM main.views WHERE +tenant = holdfast_tenant()),
tallies AS NOT MATERIALIZED (SELECT * FROM main.tallies WHERE +tenant = holdfast_tenant()),
subjects AS NOT MATERIALIZED (SELECT * FROM main.subjects WHERE +tenant = holdfast_tenant()),
signals AS NOT MATERIALIZED (SELECT * FROM main.signals WHERE +tenant = holdfast_tenant()),
signal_names AS NOT MATERIALIZED (SELECT * FROM main.signal_names WHERE +tenant = holdfast_tenant()),
definitions AS NOT MATERIALIZED (SELECT * FROM main.definitions WHERE +tenant = holdfast_tenant()),
definition_versions AS NOT MATERIALIZED (SELECT * FROM main.definition_versions WHERE +tenant = holdfast_tenant()),
work_settings AS NOT MATERIALIZED (SELECT * FROM main.work_settings WHERE +tenant = holdfast_tenant()),
items AS NOT MATERIALIZED (SELECT * FROM main.items WHERE +tenant = holdfast_tenant()),
item_events AS NOT MATERIALIZED (SELECT * FROM main.item_events WHERE +tenant = holdfast_tenant()),
places AS NOT MATERIALIZED (SELECT * FROM main.places WHERE +tenant = holdfast_tenant()),
item_links AS NOT MATERIALIZED (SELECT * FROM main.item_links WHERE +tenant = holdfast_tenant()),
conversations AS NOT MATERIALIZED (SELECT * FROM main.conversations WHERE +tenant = holdfast_tenant()),
turns AS NOT MATERIALIZED (SELECT * FROM main.turns WHERE +tenant = holdfast_tenant()),
turn_holds AS NOT MATERIALIZED (SELECT * FROM main.turn_holds WHERE +tenant = holdfast_tenant()),
turn_line AS NOT MATERIALIZED (SELECT * FROM main.turn_line WHERE +tenant = holdfast_tenant()),
model_calls AS NOT MATERIALIZED (SELECT * FROM main.model_calls WHERE +tenant = holdfast_tenant()),
model_spend AS NOT MATERIALIZED (SELECT * FROM main.model_spend WHERE +tenant = holdfast_tenant()),
artifacts AS NOT MATERIALIZED (SELECT * FROM main.artifacts WHERE +tenant = holdfast_tenant()),
budget_grants AS NOT MATERIALIZED (SELECT * FROM main.budget_grants WHERE +tenant = holdfast_tenant()),
phase_files AS NOT MATERIALIZED (SELECT * FROM main.phase_files WHERE +tenant = holdfast_tenant()),
graph_checkpoints AS NOT MATERIALIZED (SELECT * FROM main.graph_checkpoints WHERE +tenant = holdfast_tenant()),
graph_values AS NOT MATERIALIZED (SELECT * FROM main.graph_values WHERE +tenant = holdfast_tenant()),
graph_writes AS NOT MATERIALIZED (SELECT * FROM main.graph_writes WHERE +tenant = holdfast_tenant()),
graph_items AS NOT MATERIALIZED (SELECT * FROM main.graph_items WHERE +tenant = holdfast_tenant()),
intake_sources AS NOT MATERIALIZED (SELECT * FROM main.intake_sources WHERE +tenant = holdfast_tenant()),
intake_entries AS NOT MATERIALIZED (SELECT * FROM main.intake_entries WHERE +tenant = holdfast_tenant()),
shadow_outcomes AS NOT MATERIALIZED (SELECT * FROM main.shadow_outcomes WHERE +tenant = holdfast_tenant()),
alerts AS NOT MATERIALIZED (SELECT * FROM main.alerts WHERE +tenant = holdfast_tenant()),
diversions AS NOT MATERIALIZED (SELECT * FROM main.diversions WHERE +tenant = holdfast_tenant()),
start_limits AS NOT MATERIALIZED (SELECT * FROM main.start_limits WHERE false),
duties AS NOT MATERIALIZED (SELECT * FROM main.duties WHERE false),
lost_workers AS NOT MATERIALIZED (SELECT * FROM main.lost_workers WHERE false),
queue_weights AS NOT MATERIALIZED (SELECT * FROM main.queue_weights WHERE false),
messages AS NOT MATERIALIZED (SELECT * FROM main.messages WHERE +tenant = holdfast_tenant()),
message_lines AS NOT MATERIALIZED (SELECT * FROM main.message_lines WHERE +tenant = holdfast_tenant()),
message_places AS NOT MATERIALIZED (SELECT * FROM main.message_places WHERE +tenant = holdfast_tenant()),
message_attempts AS NOT MATERIALIZED (SELECT * FROM main.message_attempts WHERE +tenant = holdfast_tenant()),
publish_settings AS NOT MATERIALIZED (SELECT * FROM main.publish_settings WHERE +tenant = holdfast_tenant()),
failures AS NOT MATERIALIZED (SELECT * FROM main.failures WHERE false),
rates AS NOT MATERIALIZED (SELECT * FROM main.rates WHERE false),
message_queue AS NOT MATERIALIZED (SELECT * FROM main.message_queue WHERE false),
message_sends AS NOT MATERIALIZED (SELECT * FROM main.message_sends WHERE false),
gathers AS NOT MATERIALIZED (
    SELECT * FROM main.gathers AS x WHERE (SELECT tenant FROM main.runs WHERE uid = x.run) = holdfast_tenant()
),
ready AS NOT MATERIALIZED (
    SELECT * FROM main.ready AS x WHERE (SELECT tenant FROM main.runs WHERE uid = x.run) = holdfast_tenant()
),
running AS NOT MATERIALIZED (
    SELECT * FROM main.running AS x WHERE (SELECT tenant FROM main.runs WHERE uid = x.run) = holdfast_tenant()
),
parked AS NOT MATERIALIZED (
    SELECT * FROM main.parked AS x WHERE (SELECT tenant FROM main.runs WHERE uid = x.run) = holdfast_tenant()
),
journal AS NOT MATERIALIZED (
    SELECT * FROM main.journal AS x WHERE (SELECT tenant FROM main.runs WHERE uid = x.run) = holdfast_tenant()
),
attempts AS NOT MATERIALIZED (
    SELECT * FROM main.attempts AS x WHERE (SELECT tenant FROM main.runs WHERE uid = x.run) = holdfast_tenant()
),
members AS NOT MATERIALIZED (
    SELECT * FROM main.members AS x WHERE (SELECT tenant FROM main.runs WHERE uid = x.run) = holdfast_tenant()
),
waits AS NOT MATERIALIZED (
    SELECT * FROM main.waits AS x WHERE (SELECT tenant FROM main.runs WHERE uid = x.run) = holdfast_tenant()
),
deliveries AS NOT MATERIALIZED (
    SELECT * FROM main.deliveries AS x WHERE (SELECT tenant FROM main.runs WHERE uid = x.run) = holdfast_tenant()
),
chunks AS NOT MATERIALIZED (
    SELECT * FROM main.chunks AS x WHERE (SELECT tenant FROM main.runs WHERE uid = x.run) = holdfast_tenant()
),
blob_uses AS NOT MATERIALIZED (
    SELECT * FROM main.blob_uses AS x WHERE (SELECT tenant FROM main.runs WHERE uid = x.run) = holdfast_tenant()
),
blobs AS NOT MATERIALIZED (
    SELECT * FROM main.blobs AS x WHERE EXISTS (SELECT 1 FROM blob_uses AS u WHERE u.blob = x.id)
),
blob_parts AS NOT MATERIALIZED (
    SELECT * FROM main.blob_parts AS x WHERE EXISTS (SELECT 1 FROM blob_uses AS u WHERE u.blob = x.blob)
),
progress AS NOT MATERIALIZED (
    SELECT * FROM main.progress AS x WHERE (SELECT tenant FROM main.runs WHERE uid = x.run) = holdfast_tenant()
),
events AS NOT MATERIALIZED (
    SELECT * FROM main.events AS x WHERE (SELECT tenant FROM main.topics WHERE id = x.topic) = holdfast_tenant()
)
