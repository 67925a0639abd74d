-- Intake: sources, what was made of their entries, and what another path made of them. Alerts, and who sees to them.

CREATE TABLE holdfast.intake_sources (                    -- what is read, and how far
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    position bytea NOT NULL,                              -- a document of the source's own
    revision bigint NOT NULL,                             -- rises with each change of the position
    runs bigint NOT NULL,                                 -- so many entries became runs
    filtered bigint NOT NULL,
    repeated bigint NOT NULL,
    dead bigint NOT NULL,
    state text NOT NULL,                                  -- reading, waiting, full, failing
    note text NOT NULL,
    read_at bigint NOT NULL,
    PRIMARY KEY (tenant, name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);                -- changed in place: no index is touched

CREATE TABLE holdfast.intake_entries (                    -- what was made of each entry that was not known yet
    uid bytea NOT NULL,                                   -- sorts by time
    tenant text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    key bytea NOT NULL,                                   -- by which it is known again
    workflow text COLLATE "C" NOT NULL,                   -- its source's, as it was taken in
    message_id text COLLATE "C" NOT NULL,                 -- empty for none
    place text NOT NULL,
    outcome text COLLATE "C" NOT NULL,                    -- run, filtered, dead, discarded
    reason text NOT NULL,
    run_id text COLLATE "C",
    path text,                                            -- of its run: primary, shadow
    content bytea,                                        -- of a dead one
    settled_by text,
    at bigint NOT NULL,
    PRIMARY KEY (tenant, source, key)
);
CREATE UNIQUE INDEX intake_entries_uid ON holdfast.intake_entries (tenant, uid);
CREATE INDEX intake_entries_source ON holdfast.intake_entries (tenant, source, uid);
CREATE INDEX intake_entries_at ON holdfast.intake_entries (tenant, workflow, at, uid);
CREATE INDEX intake_entries_message ON holdfast.intake_entries (tenant, message_id, uid) WHERE message_id <> '';
CREATE INDEX intake_entries_run ON holdfast.intake_entries (tenant, run_id, uid) WHERE run_id IS NOT NULL;
CREATE INDEX intake_entries_dead ON holdfast.intake_entries (tenant, uid) WHERE outcome = 'dead';

CREATE TABLE holdfast.shadow_outcomes (                   -- what another path made of messages
    tenant text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    decided text COLLATE "C" NOT NULL,                    -- sent, review, withheld, failed
    text text NOT NULL,                                   -- what it answered; empty for none
    text_digest bytea NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (tenant, workflow, message_id)
);
CREATE INDEX shadow_outcomes_at ON holdfast.shadow_outcomes (tenant, workflow, at);

CREATE TABLE holdfast.alerts (
    tenant text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    about text COLLATE "C" NOT NULL,                      -- within the rule; empty for all
    since bigint NOT NULL,                                -- when it was seen first
    state text COLLATE "C" NOT NULL,                      -- pending, firing, resolved
    severity text NOT NULL,
    value double precision NOT NULL,
    text text NOT NULL,
    fired_at bigint,
    resolved_at bigint,
    told_at bigint,
    PRIMARY KEY (tenant, rule, about, since)
);
CREATE INDEX alerts_open ON holdfast.alerts (tenant, rule, about) WHERE resolved_at IS NULL;
CREATE INDEX alerts_age ON holdfast.alerts (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX alerts_resolved ON holdfast.alerts (tenant, resolved_at) WHERE resolved_at IS NOT NULL;

CREATE TABLE holdfast.duties (                            -- what one process does at a time, over all tenants
    name text COLLATE "C" PRIMARY KEY,
    holder bytea,                                         -- NULL: it was let go
    term bigint NOT NULL,                                 -- rises with each holder
    until bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);                -- changed in place: no index is touched

CREATE TYPE holdfast.intake_entry_row AS (
    uid bytea, tenant text, source text, key bytea, workflow text, message_id text, place text, outcome text,
    reason text, run_id text, path text, content bytea, settled_by text, at bigint
);
CREATE TYPE holdfast.shadow_outcome_row AS (
    tenant text, workflow text, message_id text, decided text, text text, text_digest bytea, at bigint
);
CREATE TYPE holdfast.alert_row AS (
    tenant text, rule text, about text, state text, severity text, value double precision, text text, since bigint,
    fired_at bigint, resolved_at bigint, told_at bigint
);

ALTER TABLE holdfast.intake_sources ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.intake_sources TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.intake_sources FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.intake_entries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.intake_entries TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.intake_entries FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.shadow_outcomes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.shadow_outcomes TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.shadow_outcomes FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.alerts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.alerts TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.alerts FOR SELECT USING (tenant = holdfast.tenant());

-- Nobody but the engine looks at them.
ALTER TABLE holdfast.duties ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.duties TO CURRENT_USER USING (true);
