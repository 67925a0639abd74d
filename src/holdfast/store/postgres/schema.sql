-- The whole schema on PostgreSQL, as the migrations leave it. Instants are microseconds since 1970, UTC.
-- Names sort by bytes (COLLATE "C"), so that their order is the same here, in Python and on SQLite.

CREATE SCHEMA holdfast;

CREATE TABLE holdfast.meta (                              -- one row
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL
);

CREATE TABLE holdfast.clock (                             -- one row; tests move time with it
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    offset_us bigint NOT NULL
);
INSERT INTO holdfast.clock (offset_us) VALUES (0);

-- Not now(), which stands still inside a transaction: a lease must be judged by the time that it is,
-- also after a wait for a lock. Volatile, so call it as (SELECT holdfast.now_us()): once a statement.
CREATE FUNCTION holdfast.now_us() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + (SELECT offset_us FROM holdfast.clock)
$$;

CREATE SEQUENCE holdfast.epochs AS bigint;                -- fencing tokens: one for each claim

CREATE TABLE holdfast.workflows (
    name text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    input_schema bytea NOT NULL,
    PRIMARY KEY (name, version)
);

-- Small tables that change all the time are vacuumed as soon as there is something to gain.
CREATE TABLE holdfast.workers (
    id bytea PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    protocol integer NOT NULL,
    started_at bigint NOT NULL,
    beat_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    claim_id bytea
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);

CREATE TABLE holdfast.runs (
    uid bytea NOT NULL,                                   -- UUIDv7: sorts by time of creation
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    protocol integer NOT NULL,
    queue text COLLATE "C" NOT NULL,
    priority bigint NOT NULL,
    rank bigint NOT NULL,
    status text COLLATE "C" NOT NULL,                     -- open, held, succeeded, failed, cancelled
    generation integer NOT NULL,
    rescues integer NOT NULL,
    rescue_seq bigint NOT NULL,                           -- the last checkpoint known at the last rescue
    epoch bigint NOT NULL,                                -- under which it was last parked or settled
    input bytea NOT NULL,
    output bytea,                                         -- result, failure, or the reason of a hold
    attributes bytea,
    control bytea,                                        -- what a person asked of it
    parent_uid bytea,
    parent_position bytea,
    parent_generation integer,
    created_at bigint NOT NULL,
    due_at bigint,
    deadline_at bigint,
    started_at bigint,
    finished_at bigint,
    lane bytea,                                           -- the lane that it takes a slot of
    lanes_above bytea,                                    -- the lanes whose slots its ancestors hold, 16 bytes each
    parent_group integer,                                 -- the length of its fan-out's position, the beginning of parent_position
    forked_from bytea,                                    -- the run whose journal it began with
    forked_seq bigint,                                    -- up to this seq
    cuts bytea,                                           -- what later generations keep of earlier ones
    failed_seq bigint,                                    -- the entry whose error ended it
    lane_name text COLLATE "C",                           -- what its lane's row is made of again: that one is deleted
    lane_key text COLLATE "C",                            -- when nobody is in the lane, and a run may join later
    lane_slots bigint
) WITH (fillfactor = 85);                                 -- room for its parks and its end beside it: no index is touched
-- First, so that runs_uid is preferred where the planner takes them for equal: in a table that is empty yet.
CREATE INDEX runs_tenant ON holdfast.runs (tenant, uid);
CREATE UNIQUE INDEX runs_uid ON holdfast.runs (uid);
CREATE UNIQUE INDEX runs_id ON holdfast.runs (tenant, id);
CREATE INDEX runs_parent ON holdfast.runs (parent_uid, parent_position) WHERE parent_uid IS NOT NULL;
CREATE INDEX runs_forked ON holdfast.runs (forked_from) WHERE forked_from IS NOT NULL;

CREATE TABLE holdfast.ready (
    queue text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    protocol integer NOT NULL,
    rank bigint NOT NULL,
    run bytea NOT NULL,
    fresh boolean NOT NULL,
    PRIMARY KEY (queue, workflow, version, protocol, rank, run)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);

CREATE TABLE holdfast.running (
    run bytea PRIMARY KEY,
    worker bytea NOT NULL,
    epoch bigint NOT NULL,
    claim_id bytea NOT NULL,
    claimed_at bigint NOT NULL,
    fresh boolean NOT NULL,
    queue text COLLATE "C",                               -- if the queue is limited: what counts against its limit
    asked boolean NOT NULL DEFAULT false                  -- a person asks something of it: see the run's control
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);
CREATE INDEX running_queue ON holdfast.running (queue) WHERE queue IS NOT NULL;
CREATE INDEX running_asked ON holdfast.running (worker) WHERE asked;

CREATE TABLE holdfast.parked (
    run bytea PRIMARY KEY,
    epoch bigint NOT NULL,                                -- 0 for a run that was never claimed
    wake_at bigint,
    wanted integer NOT NULL,                              -- outcomes still wanted before it wakes
    queue text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    protocol integer NOT NULL,
    rank bigint NOT NULL,
    lane bytea                                            -- the lane that it joins when it wakes
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);
CREATE INDEX parked_wake ON holdfast.parked (wake_at, run) WHERE wake_at IS NOT NULL;

CREATE TABLE holdfast.journal (
    run bytea NOT NULL,
    position bytea NOT NULL,
    generation integer NOT NULL,
    seq bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    input bytea,
    output bytea,
    attempts integer NOT NULL,
    started_at bigint NOT NULL,
    finished_at bigint,
    epoch bigint NOT NULL,
    PRIMARY KEY (run, position, generation)
);

CREATE TABLE holdfast.attempts (
    run bytea NOT NULL,
    position bytea NOT NULL,
    generation integer NOT NULL,
    attempt integer NOT NULL,
    name text NOT NULL,
    started_at bigint NOT NULL,
    finished_at bigint NOT NULL,
    error bytea NOT NULL,
    next_attempt_at bigint NOT NULL,
    PRIMARY KEY (run, position, generation, attempt)
);

CREATE TABLE holdfast.lanes (
    id bytea PRIMARY KEY,                                 -- 16 bytes that stand for tenant, name and key
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    slots bigint NOT NULL,                                -- how many runs may hold it at once
    held bigint NOT NULL                                  -- how many do
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);
CREATE INDEX lanes_name ON holdfast.lanes (tenant, name, key);

CREATE TABLE holdfast.members (                           -- of lanes: those that hold a slot and those in line
    lane bytea NOT NULL,
    rank bigint NOT NULL,
    run bytea NOT NULL,
    since bigint,                                         -- when it got its slot; NULL in line
    queue text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    protocol integer NOT NULL,
    fresh boolean NOT NULL,
    PRIMARY KEY (lane, rank, run)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);

CREATE TABLE holdfast.topics (
    id bytea PRIMARY KEY,                                 -- 16 bytes that stand for tenant, name and key
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL
);

CREATE TABLE holdfast.waits (                             -- for events
    run bytea NOT NULL,
    position bytea NOT NULL,                              -- empty for an event that cancels the run
    generation integer NOT NULL,
    topic bytea NOT NULL,
    purpose text COLLATE "C" NOT NULL,                    -- wait, watch, fired
    since bigint NOT NULL,
    due_at bigint,
    PRIMARY KEY (run, position, generation, topic)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);
CREATE INDEX waits_topic ON holdfast.waits (topic, since);
CREATE INDEX waits_fired ON holdfast.waits (run) WHERE purpose = 'fired';

CREATE TABLE holdfast.events (                            -- kept until they expire, for runs that wait later
    topic bytea NOT NULL,
    sent_at bigint NOT NULL,
    id bytea NOT NULL,
    to_all boolean NOT NULL,
    taken boolean NOT NULL,                               -- by the one run that it was for
    payload bytea NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (topic, sent_at, id)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);
CREATE UNIQUE INDEX events_id ON holdfast.events (id);
CREATE INDEX events_kept ON holdfast.events (topic, sent_at, id) WHERE NOT taken;
CREATE INDEX events_expiry ON holdfast.events (expires_at);

CREATE TABLE holdfast.deliveries (                        -- of events for every run: who has been given which
    event bytea NOT NULL,
    run bytea NOT NULL,
    PRIMARY KEY (event, run)
);

CREATE TABLE holdfast.deadlines (
    at bigint NOT NULL,
    run bytea NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    PRIMARY KEY (at, run)
);

CREATE TABLE holdfast.queues (
    name text COLLATE "C" PRIMARY KEY,
    total bigint,                                         -- how many runs may execute at once; NULL for any number
    per_worker bigint,
    paused boolean NOT NULL
);

CREATE TABLE holdfast.paused_workflows (name text COLLATE "C" PRIMARY KEY);

CREATE TABLE holdfast.served (
    worker bytea NOT NULL,
    queue text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    protocol integer NOT NULL,
    PRIMARY KEY (worker, queue, workflow, version, protocol)
);

CREATE TABLE holdfast.progress (
    run bytea PRIMARY KEY,
    current double precision NOT NULL,
    total double precision,
    note text COLLATE "C" NOT NULL,
    at bigint NOT NULL
);

CREATE TABLE holdfast.attributes (                        -- of runs, as they are searched
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    text text COLLATE "C",
    number double precision,
    run bytea NOT NULL,
    PRIMARY KEY (run, name)
);
CREATE INDEX attributes_text ON holdfast.attributes (tenant, name, text, run) WHERE text IS NOT NULL;
CREATE INDEX attributes_number ON holdfast.attributes (tenant, name, number, run) WHERE number IS NOT NULL;

CREATE TABLE holdfast.troubled (                          -- runs that are failed, cancelled or held
    tenant text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    run bytea NOT NULL,
    PRIMARY KEY (tenant, status, run)
);

CREATE TABLE holdfast.schedules (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    definition bytea NOT NULL,
    input bytea NOT NULL,
    options bytea NOT NULL,
    paused boolean NOT NULL,
    next_at bigint,                                       -- NULL when it never comes again
    last_run text COLLATE "C",
    revision bigint NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE INDEX schedules_due ON holdfast.schedules (next_at) WHERE next_at IS NOT NULL AND NOT paused;

CREATE TABLE holdfast.retention (
    workflow text COLLATE "C" NOT NULL,                   -- '' for every workflow
    status text COLLATE "C" NOT NULL,
    seconds bigint NOT NULL,
    PRIMARY KEY (workflow, status)
);

-- The operations of a batch as they travel: an array of rows is encoded, sent and taken apart in half
-- the time of an array for each column. The fields are those of the tuples in store/base.py, in order.
CREATE TYPE holdfast.start_row AS (
    uid bytea, tenant text, id text, workflow text, version text, protocol integer, queue text, priority bigint,
    rank bigint, input bytea, attributes bytea, created_at bigint, due_at bigint,
    parent_uid bytea, parent_position bytea, parent_generation integer, parent_epoch bigint,
    lane bytea, lanes_above bytea, parent_group integer, deadline_at bigint, forked_from bytea, forked_seq bigint,
    lane_name text, lane_key text, slots bigint
);
CREATE TYPE holdfast.checkpoint_row AS (
    run bytea, "position" bytea, generation integer, seq bigint, kind text, name text, outcome text, input bytea,
    output bytea, attempts integer, started_at bigint, finished_at bigint, epoch bigint
);
CREATE TYPE holdfast.attempt_row AS (
    run bytea, "position" bytea, generation integer, attempt integer, name text, started_at bigint, finished_at bigint,
    error bytea, next_attempt_at bigint, epoch bigint
);
CREATE TYPE holdfast.park_row AS (
    run bytea, epoch bigint, queue text, workflow text, version text, protocol integer, rank bigint,
    started_at bigint, wake_at bigint, wanted integer
);
CREATE TYPE holdfast.settle_row AS (
    run bytea, epoch bigint, status text, output bytea, started_at bigint, finished_at bigint, failed_seq bigint
);
CREATE TYPE holdfast.wait_row AS (
    run bytea, "position" bytea, generation integer, outcome text, output bytea, finished_at bigint
);
CREATE TYPE holdfast.served_row AS (
    queue text, workflow text, version text, protocol integer, low bigint
);
CREATE TYPE holdfast.rescue_row AS (
    run bytea, rescues integer, rescue_seq bigint, status text, output bytea, started_at bigint
);
CREATE TYPE holdfast.topic_row AS (
    id bytea, tenant text, name text, key text
);
CREATE TYPE holdfast.lane_row AS (
    id bytea, tenant text, name text, key text, slots bigint, run bytea, held bigint
);
CREATE TYPE holdfast.join_row AS (
    lane bytea, rank bigint, run bytea, queue text, workflow text, version text, protocol integer, fresh boolean,
    joins boolean, gets boolean
);
CREATE TYPE holdfast.listen_row AS (
    run bytea, "position" bytea, generation integer, topic bytea, purpose text, since bigint, due_at bigint
);
CREATE TYPE holdfast.event_row AS (
    topic bytea, sent_at bigint, id bytea, to_all boolean, taken boolean, payload bytea, expires_at bigint
);
CREATE TYPE holdfast.progress_row AS (
    run bytea, epoch bigint, current double precision, total double precision, note text, at bigint
);
CREATE TYPE holdfast.fact_row AS (
    tenant text, name text, text text, number double precision, run bytea
);
