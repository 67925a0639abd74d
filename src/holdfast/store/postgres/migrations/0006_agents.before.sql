-- What models were asked for and cost, what runs made, budgets, and files of phases.

CREATE TABLE holdfast.model_calls (                       -- requests to models, as attempts of steps made them
    run bytea NOT NULL,
    position bytea NOT NULL,
    generation integer NOT NULL,
    attempt integer NOT NULL,
    epoch bigint NOT NULL,
    number integer NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    phase text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    outcome text NOT NULL,                                -- ok, or what kind of error
    error text,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost bigint,                                          -- in nanodollars; NULL where no price is known
    began_at bigint NOT NULL,
    ended_at bigint NOT NULL,
    PRIMARY KEY (run, position, generation, attempt, epoch, number)
);

CREATE TABLE holdfast.model_spend (                       -- their totals, which outlive the runs
    tenant text COLLATE "C" NOT NULL,
    day bigint NOT NULL,                                  -- on which a request ended, from 1970-01-01
    workflow text COLLATE "C" NOT NULL,
    phase text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    calls bigint NOT NULL,
    failed bigint NOT NULL,
    unpriced bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost bigint NOT NULL,
    PRIMARY KEY (tenant, day, workflow, phase, model)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);                -- changed in place: no index is touched

CREATE TABLE holdfast.artifacts (                         -- what attempts of steps made
    run bytea NOT NULL,
    position bytea NOT NULL,
    name text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    location text,                                        -- where its bytes are, if not here
    at bigint NOT NULL,
    content bytea,
    PRIMARY KEY (run, position, name, generation)
);

CREATE TABLE holdfast.budget_grants (                     -- what people added to budgets
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    run bytea NOT NULL,                                   -- empty: of a day, or of the tenant
    phase text COLLATE "C" NOT NULL,                      -- empty: of the whole run
    day bigint NOT NULL,                                  -- -1: of the tenant, or of a run
    tokens bigint NOT NULL,
    cost bigint NOT NULL,
    by text NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX budget_grants_budget ON holdfast.budget_grants (run, tenant, phase, day);

CREATE TABLE holdfast.phase_files (                       -- versions of files of phases
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    at bigint NOT NULL,                                   -- the greatest is the newest
    content bytea NOT NULL,
    PRIMARY KEY (tenant, name, version)
);
CREATE INDEX phase_files_newest ON holdfast.phase_files (tenant, name, at, version);

CREATE TABLE holdfast.rates (                             -- of calls to models, over all tenants
    key text COLLATE "C" PRIMARY KEY,
    next_at bigint NOT NULL,                              -- when the next place is, but for what is left of a burst
    not_before bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);                -- changed in place: no index is touched

CREATE TYPE holdfast.model_call_row AS (
    run bytea, "position" bytea, generation integer, attempt integer, number integer, epoch bigint, tenant text,
    workflow text, phase text, model text, outcome text, error text, input_tokens bigint, cached_tokens bigint,
    output_tokens bigint, cost bigint, began_at bigint, ended_at bigint
);
CREATE TYPE holdfast.artifact_row AS (
    run bytea, "position" bytea, generation integer, name text, epoch bigint, tenant text, media_type text,
    size_bytes bigint, sha256 bytea, location text, content bytea, at bigint
);

ALTER TABLE holdfast.model_calls ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.model_calls TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.model_calls FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.model_spend ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.model_spend TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.model_spend FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.artifacts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.artifacts TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.artifacts FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.budget_grants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.budget_grants TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.budget_grants FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.phase_files ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.phase_files TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.phase_files FOR SELECT USING (tenant = holdfast.tenant());

-- Nobody but the engine looks at them.
ALTER TABLE holdfast.rates ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.rates TO CURRENT_USER USING (true);
