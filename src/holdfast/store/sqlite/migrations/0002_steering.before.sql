-- Lanes, events, steering, search, schedules and retention.

ALTER TABLE runs ADD COLUMN lane BLOB;
ALTER TABLE runs ADD COLUMN lanes_above BLOB;
ALTER TABLE runs ADD COLUMN parent_group INTEGER;
ALTER TABLE runs ADD COLUMN forked_from BLOB;
ALTER TABLE runs ADD COLUMN forked_seq INTEGER;
ALTER TABLE runs ADD COLUMN cuts BLOB;
ALTER TABLE runs ADD COLUMN failed_seq INTEGER;
ALTER TABLE runs ADD COLUMN lane_name TEXT;
ALTER TABLE runs ADD COLUMN lane_key TEXT;
ALTER TABLE runs ADD COLUMN lane_slots INTEGER;
CREATE INDEX runs_parent ON runs (parent_uid, parent_position) WHERE parent_uid IS NOT NULL;
CREATE INDEX runs_forked ON runs (forked_from) WHERE forked_from IS NOT NULL;

ALTER TABLE running ADD COLUMN queue TEXT;
ALTER TABLE running ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX running_queue ON running (queue) WHERE queue IS NOT NULL;
CREATE INDEX running_asked ON running (worker) WHERE asked = 1;

ALTER TABLE parked ADD COLUMN lane BLOB;

CREATE TABLE lanes (
    id BLOB PRIMARY KEY,                                  -- 16 bytes that stand for tenant, name and key
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    slots INTEGER NOT NULL,                               -- how many runs may hold it at once
    held INTEGER NOT NULL                                 -- how many do
) WITHOUT ROWID;
CREATE INDEX lanes_name ON lanes (tenant, name, key);

CREATE TABLE members (                                    -- of lanes: those that hold a slot and those in line
    run BLOB PRIMARY KEY,
    lane BLOB NOT NULL,
    rank INTEGER NOT NULL,
    since INTEGER,                                        -- when it got its slot; NULL in line
    queue TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    fresh INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX members_line ON members (lane, rank, run) WHERE since IS NULL;

CREATE TABLE topics (
    id BLOB PRIMARY KEY,                                  -- 16 bytes that stand for tenant, name and key
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE waits (                                      -- for events
    run BLOB NOT NULL,
    position BLOB NOT NULL,                               -- empty for an event that cancels the run
    generation INTEGER NOT NULL,
    topic BLOB NOT NULL,
    purpose TEXT NOT NULL,                                -- wait, watch, fired
    since INTEGER NOT NULL,
    due_at INTEGER,
    PRIMARY KEY (run, position, generation, topic)
) WITHOUT ROWID;
CREATE INDEX waits_topic ON waits (topic, purpose, since, run, position);
CREATE INDEX waits_fired ON waits (run) WHERE purpose = 'fired';

CREATE TABLE events (                                     -- kept until they expire, for runs that wait later
    topic BLOB NOT NULL,
    sent_at INTEGER NOT NULL,
    id BLOB NOT NULL,
    to_all INTEGER NOT NULL,
    taken INTEGER NOT NULL,                               -- by the one run that it was for
    payload BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (topic, sent_at, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX events_id ON events (id);
CREATE INDEX events_untaken ON events (topic, to_all, sent_at, id) WHERE taken = 0;
CREATE INDEX events_expiry ON events (expires_at);

CREATE TABLE deliveries (                                 -- of events for every run: who has been given which
    event BLOB NOT NULL,
    run BLOB NOT NULL,
    PRIMARY KEY (event, run)
) WITHOUT ROWID;

CREATE TABLE deadlines (
    at INTEGER NOT NULL,
    run BLOB NOT NULL,
    tenant TEXT NOT NULL,
    PRIMARY KEY (at, run)
) WITHOUT ROWID;

CREATE TABLE queues (
    name TEXT PRIMARY KEY,
    total INTEGER,                                        -- how many runs may execute at once; NULL for any number
    per_worker INTEGER,
    paused INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE paused_workflows (name TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE served (
    worker BLOB NOT NULL,
    queue TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    PRIMARY KEY (worker, queue, workflow, version, protocol)
) WITHOUT ROWID;

CREATE TABLE progress (
    run BLOB PRIMARY KEY,
    current REAL NOT NULL,
    total REAL,
    note TEXT NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE attributes (                                 -- of runs, as they are searched
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    text TEXT,
    number REAL,
    run BLOB NOT NULL,
    PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE INDEX attributes_text ON attributes (tenant, name, text, run) WHERE text IS NOT NULL;
CREATE INDEX attributes_number ON attributes (tenant, name, number, run) WHERE number IS NOT NULL;

CREATE TABLE troubled (                                   -- runs that are failed, cancelled or held
    tenant TEXT NOT NULL,
    status TEXT NOT NULL,
    run BLOB NOT NULL,
    PRIMARY KEY (tenant, status, run)
) WITHOUT ROWID;

CREATE TABLE schedules (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    workflow TEXT NOT NULL,
    definition BLOB NOT NULL,
    input BLOB NOT NULL,
    options BLOB NOT NULL,
    paused INTEGER NOT NULL,
    next_at INTEGER,                                      -- NULL when it never comes again
    last_run TEXT,
    revision INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL AND paused = 0;

CREATE TABLE retention (
    workflow TEXT NOT NULL,                               -- '' for every workflow
    status TEXT NOT NULL,
    seconds INTEGER NOT NULL,
    PRIMARY KEY (workflow, status)
) WITHOUT ROWID;

INSERT INTO troubled SELECT tenant, status, uid FROM runs WHERE status IN ('failed', 'cancelled', 'held');
