-- Lanes, events, steering, search, schedules and retention.

ALTER TABLE holdfast.runs ADD COLUMN lane bytea;
ALTER TABLE holdfast.runs ADD COLUMN lanes_above bytea;
ALTER TABLE holdfast.runs ADD COLUMN parent_group integer;
ALTER TABLE holdfast.runs ADD COLUMN forked_from bytea;
ALTER TABLE holdfast.runs ADD COLUMN forked_seq bigint;
ALTER TABLE holdfast.runs ADD COLUMN cuts bytea;
ALTER TABLE holdfast.runs ADD COLUMN failed_seq bigint;
ALTER TABLE holdfast.runs ADD COLUMN lane_name text COLLATE "C";
ALTER TABLE holdfast.runs ADD COLUMN lane_key text COLLATE "C";
ALTER TABLE holdfast.runs ADD COLUMN lane_slots bigint;
CREATE INDEX runs_tenant ON holdfast.runs (tenant, uid);
CREATE INDEX runs_parent ON holdfast.runs (parent_uid, parent_position) WHERE parent_uid IS NOT NULL;
CREATE INDEX runs_forked ON holdfast.runs (forked_from) WHERE forked_from IS NOT NULL;

ALTER TABLE holdfast.running ADD COLUMN queue text COLLATE "C";
ALTER TABLE holdfast.running ADD COLUMN asked boolean NOT NULL DEFAULT false;
CREATE INDEX running_queue ON holdfast.running (queue) WHERE queue IS NOT NULL;
CREATE INDEX running_asked ON holdfast.running (worker) WHERE asked;

ALTER TABLE holdfast.parked ADD COLUMN lane bytea;

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

ALTER TYPE holdfast.start_row
    ADD ATTRIBUTE lane bytea, ADD ATTRIBUTE lanes_above bytea, ADD ATTRIBUTE parent_group integer,
    ADD ATTRIBUTE deadline_at bigint, ADD ATTRIBUTE forked_from bytea, ADD ATTRIBUTE forked_seq bigint,
    ADD ATTRIBUTE lane_name text, ADD ATTRIBUTE lane_key text, ADD ATTRIBUTE slots bigint;
ALTER TYPE holdfast.settle_row ADD ATTRIBUTE failed_seq bigint;
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

INSERT INTO holdfast.troubled SELECT tenant, status, uid FROM holdfast.runs WHERE status IN ('failed', 'cancelled', 'held');
