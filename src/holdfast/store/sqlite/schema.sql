-- The whole schema on SQLite, as the migrations leave it. Instants are microseconds since 1970, UTC.

CREATE TABLE clock (offset_us INTEGER NOT NULL);          -- one row; tests move time with it
CREATE TABLE epochs (value INTEGER NOT NULL);             -- one row; the last fencing token given out

CREATE TABLE workflows (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    input_schema BLOB NOT NULL,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;

CREATE TABLE workers (
    id BLOB PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    protocol INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    beat_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    claim_id BLOB
) WITHOUT ROWID;

CREATE TABLE runs (
    uid BLOB NOT NULL,                                    -- UUIDv7: sorts by time of creation
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    status TEXT NOT NULL,                                 -- open, held, succeeded, failed, cancelled
    generation INTEGER NOT NULL,
    rescues INTEGER NOT NULL,
    rescue_seq INTEGER NOT NULL,                          -- the last checkpoint known at the last rescue
    epoch INTEGER NOT NULL,                               -- under which it was last parked or settled
    input BLOB NOT NULL,
    output BLOB,                                          -- result, failure, or the reason of a hold
    attributes BLOB,
    control BLOB,                                         -- what a person asked of it
    parent_uid BLOB,
    parent_position BLOB,
    parent_generation INTEGER,
    created_at INTEGER NOT NULL,
    due_at INTEGER,
    deadline_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    lane BLOB,                                            -- the lane that it takes a slot of
    lanes_above BLOB,                                     -- the lanes whose slots its ancestors hold, 16 bytes each
    parent_group INTEGER,                                 -- the length of its fan-out's position, the beginning of parent_position
    forked_from BLOB,                                     -- the run whose journal it began with
    forked_seq INTEGER,                                   -- up to this seq
    cuts BLOB,                                            -- what later generations keep of earlier ones
    failed_seq INTEGER,                                   -- the entry whose error ended it
    lane_name TEXT,                                       -- what its lane's row is made of again: that one is deleted
    lane_key TEXT,                                        -- when nobody is in the lane, and a run may join later
    lane_slots INTEGER
);
CREATE UNIQUE INDEX runs_uid ON runs (uid);
CREATE UNIQUE INDEX runs_id ON runs (tenant, id);
CREATE INDEX runs_parent ON runs (parent_uid, parent_position) WHERE parent_uid IS NOT NULL;
CREATE INDEX runs_forked ON runs (forked_from) WHERE forked_from IS NOT NULL;

CREATE TABLE ready (
    queue TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    run BLOB NOT NULL,
    fresh INTEGER NOT NULL,
    PRIMARY KEY (queue, workflow, version, protocol, rank, run)
) WITHOUT ROWID;

CREATE TABLE running (
    run BLOB PRIMARY KEY,
    worker BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    claim_id BLOB NOT NULL,
    claimed_at INTEGER NOT NULL,
    fresh INTEGER NOT NULL,
    queue TEXT,                                           -- if the queue is limited: what counts against its limit
    asked INTEGER NOT NULL DEFAULT 0                      -- a person asks something of it: see the run's control
) WITHOUT ROWID;
CREATE INDEX running_queue ON running (queue) WHERE queue IS NOT NULL;
CREATE INDEX running_asked ON running (worker) WHERE asked = 1;

CREATE TABLE parked (
    run BLOB PRIMARY KEY,
    epoch INTEGER NOT NULL,                               -- 0 for a run that was never claimed
    wake_at INTEGER,
    wanted INTEGER NOT NULL,                              -- outcomes still wanted before it wakes
    queue TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    lane BLOB                                             -- the lane that it joins when it wakes
) WITHOUT ROWID;
CREATE INDEX parked_wake ON parked (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE journal (
    run BLOB NOT NULL,
    position BLOB NOT NULL,
    generation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    outcome TEXT NOT NULL,
    input BLOB,
    output BLOB,
    attempts INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (run, position, generation)
) WITHOUT ROWID;

CREATE TABLE attempts (
    run BLOB NOT NULL,
    position BLOB NOT NULL,
    generation INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    name TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    error BLOB NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    PRIMARY KEY (run, position, generation, attempt)
) WITHOUT ROWID;

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

INSERT INTO clock VALUES (0);
INSERT INTO epochs VALUES (0);
