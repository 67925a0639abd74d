-- Rate limits, debounces, batches and singletons of starts, and what became of starts that made no run of their own.

ALTER TABLE holdfast.parked ADD COLUMN rate bytea, ADD COLUMN gather bytea;
DROP INDEX holdfast.parked_wake;
CREATE INDEX parked_wake ON holdfast.parked (wake_at, run)
    WHERE wake_at IS NOT NULL AND rate IS NULL AND gather IS NULL;
CREATE INDEX parked_ruled ON holdfast.parked (wake_at, run) WHERE rate IS NOT NULL OR gather IS NOT NULL;

CREATE TABLE holdfast.start_limits (                      -- to how many runs of a key start in a stretch of time
    id bytea PRIMARY KEY,                                 -- 16 bytes that stand for tenant, workflow and key
    most bigint NOT NULL,
    period_us bigint NOT NULL,
    log bytea NOT NULL,                                   -- when runs were let through
    planned bytea NOT NULL,                               -- when those are to be that wait
    over_at bigint NOT NULL                               -- then both are of no use any more
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_cost_delay = 0);                -- changed in place: no index is touched

CREATE TABLE holdfast.gathers (                           -- the run that is made of a key's starts, or is its only one
    id bytea PRIMARY KEY,                                 -- 16 bytes that stand for tenant, workflow, rule and key
    run bytea,                                            -- null until its first start is written
    run_id text COLLATE "C",                              -- null where it is the run's uid in hexadecimal
    first_at bigint NOT NULL,                             -- when the first of its starts came
    due_at bigint NOT NULL,                               -- until then starts are merged into it
    items bigint NOT NULL,                                -- so many a batch has
    size_bytes bigint NOT NULL,                           -- of the inputs that it is made of
    version text COLLATE "C",                             -- while it takes more in
    rate bytea,                                           -- the limit that it is counted against then
    newest bytea                                          -- the start whose input takes the place of the run's then
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_cost_delay = 0);                -- changed in place: no index is touched

CREATE TABLE holdfast.diversions (                        -- starts that made no run of their own at once
    tenant text COLLATE "C" NOT NULL,
    uid bytea NOT NULL,                                   -- sorts by time
    id text COLLATE "C",                                  -- that it asked for; null where it is the uid in hexadecimal
    workflow text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    way text COLLATE "C" NOT NULL,                        -- delayed, merged, dropped
    rule text COLLATE "C" NOT NULL,                       -- rate_limit, debounce, batch, singleton
    mode text COLLATE "C" NOT NULL,                       -- of the rule
    key text COLLATE "C" NOT NULL,
    run bytea,                                            -- into which it was merged, or because of which dropped
    run_id text COLLATE "C",                              -- null where it is the run's uid in hexadecimal
    most bigint,                                          -- runs of a limit, items of a batch
    span_us bigint,                                       -- in this time; how long a debounce wants it quiet
    number bigint,                                        -- of a batch: so many items stand before its own
    due_at bigint,
    input bytea,                                          -- of a batch that is not full, what it is made of
    options bytea,                                        -- JSON: with what a dropped one was to start
    PRIMARY KEY (tenant, uid)
);
CREATE INDEX diversions_workflow ON holdfast.diversions (tenant, workflow, uid, key) WHERE workflow <> '';
CREATE INDEX diversions_id ON holdfast.diversions (tenant, id, uid) WHERE id IS NOT NULL;
CREATE INDEX diversions_run ON holdfast.diversions (run, uid) WHERE run IS NOT NULL;

CREATE TYPE holdfast.diversion_row AS (
    tenant text, uid bytea, id text, workflow text, version text, way text, rule text, mode text, key text, run bytea,
    run_id text, most bigint, span_us bigint, number bigint, due_at bigint, input bytea, options bytea
);
CREATE TYPE holdfast.limit_row AS (
    id bytea, most bigint, period_us bigint, log bytea, planned bytea, over_at bigint
);
CREATE TYPE holdfast.gather_row AS (
    id bytea, run bytea, run_id text, first_at bigint, due_at bigint, items bigint, size_bytes bigint,
    version text, rate bytea, newest bytea
);
CREATE TYPE holdfast.parked_row AS (
    run bytea, wake_at bigint, queue text, workflow text, version text, protocol integer, rank bigint, lane bytea,
    rate bytea, gather bytea
);

ALTER TABLE holdfast.diversions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.diversions TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.diversions FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.gathers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.gathers TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.gathers FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

-- Nobody but the engine looks at it.
ALTER TABLE holdfast.start_limits ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.start_limits TO CURRENT_USER USING (true);
