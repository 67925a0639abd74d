-- The first schema on PostgreSQL. Instants are microseconds since 1970, UTC.
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
    finished_at bigint
) WITH (fillfactor = 85);                                 -- room for its parks and its end beside it: no index is touched
CREATE UNIQUE INDEX runs_uid ON holdfast.runs (uid);
CREATE UNIQUE INDEX runs_id ON holdfast.runs (tenant, id);

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
    fresh boolean NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);

CREATE TABLE holdfast.parked (
    run bytea PRIMARY KEY,
    epoch bigint NOT NULL,                                -- 0 for a run that was never claimed
    wake_at bigint,
    wanted integer NOT NULL,                              -- outcomes still wanted before it wakes
    queue text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    protocol integer NOT NULL,
    rank bigint NOT NULL
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

-- The operations of a batch as they travel: an array of rows is encoded, sent and taken apart in half
-- the time of an array for each column. The fields are those of the tuples in store/base.py, in order.
CREATE TYPE holdfast.start_row AS (
    uid bytea, tenant text, id text, workflow text, version text, protocol integer, queue text, priority bigint,
    rank bigint, input bytea, attributes bytea, created_at bigint, due_at bigint,
    parent_uid bytea, parent_position bytea, parent_generation integer, parent_epoch bigint
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
    run bytea, epoch bigint, status text, output bytea, started_at bigint, finished_at bigint
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
