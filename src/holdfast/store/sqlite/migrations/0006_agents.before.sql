-- What models were asked for and cost, what runs made, budgets, and files of phases.

CREATE TABLE model_calls (                                -- requests to models, as attempts of steps made them
    run BLOB NOT NULL,
    position BLOB NOT NULL,
    generation INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    workflow TEXT NOT NULL,
    phase TEXT NOT NULL,
    model TEXT NOT NULL,
    outcome TEXT NOT NULL,                                -- ok, or what kind of error
    error TEXT,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost INTEGER,                                         -- in nanodollars; NULL where no price is known
    began_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    PRIMARY KEY (run, position, generation, attempt, epoch, number)
) WITHOUT ROWID;

CREATE TABLE model_spend (                                -- their totals, which outlive the runs
    tenant TEXT NOT NULL,
    day INTEGER NOT NULL,                                 -- on which a request ended, from 1970-01-01
    workflow TEXT NOT NULL,
    phase TEXT NOT NULL,
    model TEXT NOT NULL,
    calls INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, workflow, phase, model)
) WITHOUT ROWID;

CREATE TABLE artifacts (                                  -- what attempts of steps made
    run BLOB NOT NULL,
    position BLOB NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    location TEXT,                                        -- where its bytes are, if not here
    at INTEGER NOT NULL,
    content BLOB,
    PRIMARY KEY (run, position, name, generation)
);

CREATE TABLE budget_grants (                              -- what people added to budgets
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    run BLOB NOT NULL,                                    -- empty: of a day, or of the tenant
    phase TEXT NOT NULL,                                  -- empty: of the whole run
    day INTEGER NOT NULL,                                 -- -1: of the tenant, or of a run
    tokens INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    by TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX budget_grants_budget ON budget_grants (run, tenant, phase, day);

CREATE TABLE phase_files (                                -- versions of files of phases
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    at INTEGER NOT NULL,                                  -- the greatest is the newest
    content BLOB NOT NULL,
    PRIMARY KEY (tenant, name, version)
);
CREATE INDEX phase_files_newest ON phase_files (tenant, name, at, version);

CREATE TABLE rates (                                      -- of calls to models, over all tenants
    key TEXT PRIMARY KEY,
    next_at INTEGER NOT NULL,                             -- when the next place is, but for what is left of a burst
    not_before INTEGER NOT NULL
) WITHOUT ROWID;
