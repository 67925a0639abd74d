-- New runs.
--
-- Guarantees: an id is taken once in a tenant; only a run made here gets a row in `ready` or `parked`, or,
-- later in the batch, in its lane.
-- Locks: nothing but the new rows. The caller sorts them by (tenant, id), so that two processes that
-- insert the same ids wait for each other in one order only. A child's parent is locked before, by `hold`.
-- Unlike SQLite, an id that another process inserts just now is waited for; who it belongs to is then
-- looked up by a statement of its own, which sees what was committed meanwhile.

-- How many were made, and, if asked for, which.
-- name: insert_starts
WITH new AS (
    INSERT INTO holdfast.runs (uid, tenant, id, workflow, version, protocol, queue, priority, rank, status, generation,
                               rescues, rescue_seq, epoch, input, attributes, created_at, due_at,
                               parent_uid, parent_position, parent_generation, lane, lanes_above, parent_group,
                               deadline_at, forked_from, forked_seq, lane_name, lane_key, lane_slots)
    SELECT uid, tenant, id, workflow, version, protocol, queue, priority, rank, 'open', 1,
           0, 0, 0, input, attributes, created_at, due_at,
           parent_uid, parent_position, parent_generation, lane, lanes_above, parent_group,
           deadline_at, forked_from, forked_seq, lane_name, lane_key, slots
    FROM unnest($1::holdfast.start_row[])
    ON CONFLICT DO NOTHING
    RETURNING uid, queue, workflow, version, protocol, rank, due_at, lane, forked_from
), at_once AS (
    INSERT INTO holdfast.ready (queue, workflow, version, protocol, rank, run, fresh)
    SELECT queue, workflow, version, protocol, rank, uid, forked_from IS NULL FROM new
    WHERE due_at IS NULL AND lane IS NULL
), later AS (
    INSERT INTO holdfast.parked (run, epoch, wake_at, wanted, queue, workflow, version, protocol, rank, lane)
    SELECT uid, 0, due_at, 0, queue, workflow, version, protocol, rank, lane FROM new WHERE due_at IS NOT NULL
) /*more*/
SELECT count(*), array_agg(uid) FILTER (WHERE $2) FROM new

-- What stands in place of the comment there, if who starts the runs is recorded with them; see audit.sql.
-- name: and_audits
, told AS (
    INSERT INTO holdfast.audit (uid, tenant, actor, action, target, detail, at)
    SELECT * FROM unnest($3::holdfast.audit_row[]) ON CONFLICT DO NOTHING
)

-- The input of a run that is the caller's own is not sent back: it may be large, and the caller has it.
-- name: find_starts
SELECT v.i::integer - 1, r.uid, r.workflow, CASE WHEN r.uid <> v.uid THEN r.input END
FROM unnest($1::text[], $2::text[], $3::bytea[]) WITH ORDINALITY AS v (tenant, id, uid, i)
CROSS JOIN LATERAL (SELECT * FROM holdfast.runs AS r WHERE r.tenant = v.tenant AND r.id = v.id OFFSET 0) AS r

-- name: insert_deadlines
INSERT INTO holdfast.deadlines (at, run, tenant)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[]) AS v (at, run, tenant)
ON CONFLICT DO NOTHING

-- name: insert_facts
INSERT INTO holdfast.attributes (tenant, name, text, number, run)
SELECT * FROM unnest($1::holdfast.fact_row[])
ON CONFLICT DO NOTHING
