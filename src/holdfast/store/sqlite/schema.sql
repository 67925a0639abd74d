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
    finished_at INTEGER
);
CREATE UNIQUE INDEX runs_uid ON runs (uid);
CREATE UNIQUE INDEX runs_id ON runs (tenant, id);

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
    fresh INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE parked (
    run BLOB PRIMARY KEY,
    epoch INTEGER NOT NULL,                               -- 0 for a run that was never claimed
    wake_at INTEGER,
    wanted INTEGER NOT NULL,                              -- outcomes still wanted before it wakes
    queue TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    rank INTEGER NOT NULL
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

INSERT INTO clock VALUES (0);
INSERT INTO epochs VALUES (0);
