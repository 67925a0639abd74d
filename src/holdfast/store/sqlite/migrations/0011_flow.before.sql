-- Rate limits, debounces, batches and singletons of starts, and what became of starts that made no run of their own.

ALTER TABLE parked ADD COLUMN rate BLOB;                  -- the limit that it is counted against when it wakes
ALTER TABLE parked ADD COLUMN gather BLOB;                -- it takes starts in, for this rule
CREATE INDEX parked_rate ON parked (rate) WHERE rate IS NOT NULL;

CREATE TABLE start_limits (                               -- to how many runs of a key start in a stretch of time
    id BLOB PRIMARY KEY,                                  -- 16 bytes that stand for tenant, workflow and key
    most INTEGER NOT NULL,
    period_us INTEGER NOT NULL,
    log BLOB NOT NULL,                                    -- when runs were let through
    planned BLOB NOT NULL,                                -- when those are to be that wait
    over_at INTEGER NOT NULL                              -- then both are of no use any more
) WITHOUT ROWID;

CREATE TABLE gathers (                                    -- the run that is made of a key's starts, or is its only one
    id BLOB PRIMARY KEY,                                  -- 16 bytes that stand for tenant, workflow, rule and key
    run BLOB,
    run_id TEXT NOT NULL,
    first_at INTEGER NOT NULL,                            -- when the first of its starts came
    due_at INTEGER NOT NULL,                              -- until then starts are merged into it
    items INTEGER NOT NULL                                -- so many a batch has
) WITHOUT ROWID;

CREATE TABLE gather_items (                               -- what starts brought to a batch that is not full
    run BLOB NOT NULL,
    number INTEGER NOT NULL,                              -- so many items stand before it
    input BLOB NOT NULL
);
CREATE UNIQUE INDEX gather_items_run ON gather_items (run, number);

CREATE TABLE diversions (                                 -- starts that made no run of their own at once
    uid BLOB NOT NULL,                                    -- sorts by time
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,                                     -- that it asked for
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    way TEXT NOT NULL,                                    -- delayed, merged, dropped
    rule TEXT NOT NULL,                                   -- rate_limit, debounce, batch, singleton
    key TEXT NOT NULL,
    run_id TEXT NOT NULL,                                 -- empty for none
    reason TEXT NOT NULL,
    input BLOB,
    at INTEGER NOT NULL,
    due_at INTEGER,
    run BLOB,
    options BLOB                                          -- JSON: with what a dropped one was to start
);
CREATE UNIQUE INDEX diversions_uid ON diversions (tenant, uid);
CREATE INDEX diversions_workflow ON diversions (tenant, workflow, uid);
CREATE INDEX diversions_key ON diversions (tenant, key, uid) WHERE key <> '';
CREATE INDEX diversions_id ON diversions (tenant, id, uid);
CREATE INDEX diversions_run ON diversions (tenant, run_id, uid) WHERE run_id <> '';
