-- Rate limits, debounces, batches and singletons of starts, and what became of starts that made no run of their own.

ALTER TABLE parked ADD COLUMN rate BLOB;                  -- the limit that it is counted against when it wakes
ALTER TABLE parked ADD COLUMN gather BLOB;                -- it takes starts in, for this rule

CREATE TABLE start_limits (                               -- to how many runs of a key start in a stretch of time
    id BLOB NOT NULL,                                     -- 16 bytes that stand for tenant, workflow and key
    most INTEGER NOT NULL,
    period_us INTEGER NOT NULL,
    log BLOB NOT NULL,                                    -- when runs were let through
    planned BLOB NOT NULL,                                -- when those are to be that wait
    over_at INTEGER NOT NULL                              -- then both are of no use any more
);
CREATE UNIQUE INDEX start_limits_id ON start_limits (id);

CREATE TABLE gathers (                                    -- the run that is made of a key's starts, or is its only one
    id BLOB NOT NULL,                                     -- 16 bytes that stand for tenant, workflow, rule and key
    run BLOB NOT NULL,
    run_id TEXT,                                          -- null where it is the run's uid in hexadecimal
    first_at INTEGER NOT NULL,                            -- when the first of its starts came
    due_at INTEGER NOT NULL,                              -- until then starts are merged into it
    items INTEGER NOT NULL,                               -- so many a batch has
    size_bytes INTEGER NOT NULL,                          -- of the inputs that it is made of
    version TEXT,                                         -- while it takes more in
    rate BLOB,                                            -- the limit that it is counted against then
    newest BLOB                                           -- the start whose input takes the place of the run's then
);
CREATE UNIQUE INDEX gathers_id ON gathers (id);

CREATE TABLE diversions (                                 -- starts that made no run of their own at once
    tenant TEXT NOT NULL,
    uid BLOB NOT NULL,                                    -- sorts by time
    id TEXT,                                              -- that it asked for; null where it is the uid in hexadecimal
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    way TEXT NOT NULL,                                    -- delayed, merged, dropped
    rule TEXT NOT NULL,                                   -- rate_limit, debounce, batch, singleton
    mode TEXT NOT NULL,                                   -- of the rule
    key TEXT NOT NULL,
    run BLOB,                                             -- into which it was merged, or because of which dropped
    run_id TEXT,                                          -- null where it is the run's uid in hexadecimal
    most INTEGER,                                         -- runs of a limit, items of a batch
    span_us INTEGER,                                      -- in this time; how long a debounce wants it quiet
    number INTEGER,                                       -- of a batch: so many items stand before its own
    due_at INTEGER,
    input BLOB,                                           -- of a batch that is not full, what it is made of
    options BLOB,                                         -- JSON: with what a dropped one was to start
    PRIMARY KEY (tenant, uid)
) WITHOUT ROWID;
CREATE INDEX diversions_workflow ON diversions (tenant, workflow, uid, key);
CREATE INDEX diversions_id ON diversions (tenant, id, uid) WHERE id IS NOT NULL;
CREATE INDEX diversions_run ON diversions (run, uid) WHERE run IS NOT NULL;
