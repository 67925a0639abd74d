-- Rate limits, debounces, batches and singletons of starts, and what became of starts that made no run of their own.

ALTER TABLE holdfast.parked ADD COLUMN rate bytea, ADD COLUMN gather bytea;
DROP INDEX holdfast.parked_wake;
CREATE INDEX parked_wake ON holdfast.parked (wake_at, run)
    WHERE wake_at IS NOT NULL AND rate IS NULL AND gather IS NULL;
CREATE INDEX parked_ruled ON holdfast.parked (wake_at, run) WHERE rate IS NOT NULL OR gather IS NOT NULL;
CREATE INDEX parked_rate ON holdfast.parked (rate) WHERE rate IS NOT NULL;

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
    run bytea,
    run_id text COLLATE "C" NOT NULL,
    first_at bigint NOT NULL,                             -- when the first of its starts came
    due_at bigint NOT NULL,                               -- until then starts are merged into it
    items bigint NOT NULL                                 -- so many a batch has
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_cost_delay = 0);                -- changed in place: no index is touched

CREATE TABLE holdfast.gather_items (                      -- what starts brought to a batch that is not full
    run bytea NOT NULL,
    number bigint NOT NULL,                               -- so many items stand before it
    input bytea NOT NULL,
    PRIMARY KEY (run, number)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE holdfast.diversions (                        -- starts that made no run of their own at once
    uid bytea NOT NULL,                                   -- sorts by time
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,                         -- that it asked for
    workflow text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    way text COLLATE "C" NOT NULL,                        -- delayed, merged, dropped
    rule text COLLATE "C" NOT NULL,                       -- rate_limit, debounce, batch, singleton
    key text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,                     -- empty for none
    reason text NOT NULL,
    input bytea,
    at bigint NOT NULL,
    due_at bigint,
    run bytea,
    options bytea,                                        -- JSON: with what a dropped one was to start
    PRIMARY KEY (tenant, uid)
);
CREATE INDEX diversions_workflow ON holdfast.diversions (tenant, workflow, uid);
CREATE INDEX diversions_key ON holdfast.diversions (tenant, key, uid) WHERE key <> '';
CREATE INDEX diversions_id ON holdfast.diversions (tenant, id, uid);
CREATE INDEX diversions_run ON holdfast.diversions (tenant, run_id, uid) WHERE run_id <> '';
CREATE INDEX diversions_at ON holdfast.diversions (at);

CREATE TYPE holdfast.diversion_row AS (
    uid bytea, tenant text, id text, workflow text, version text, way text, rule text, key text, run_id text,
    reason text, input bytea, at bigint, due_at bigint, run bytea, options bytea
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

ALTER TABLE holdfast.gather_items ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.gather_items TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.gather_items FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

-- Nobody but the engine looks at it.
ALTER TABLE holdfast.start_limits ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.start_limits TO CURRENT_USER USING (true);
