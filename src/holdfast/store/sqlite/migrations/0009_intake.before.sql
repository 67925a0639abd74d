-- Intake: sources, what was made of their entries, and what another path made of them. Alerts, and who sees to them.

CREATE TABLE intake_sources (                             -- what is read, and how far
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    workflow TEXT NOT NULL,
    position BLOB NOT NULL,                               -- a document of the source's own
    revision INTEGER NOT NULL,                            -- rises with each change of the position
    runs INTEGER NOT NULL,                                -- so many entries became runs
    filtered INTEGER NOT NULL,
    repeated INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    state TEXT NOT NULL,                                  -- reading, waiting, full, failing
    note TEXT NOT NULL,
    read_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

CREATE TABLE intake_entries (                             -- what was made of each entry that was not known yet
    uid BLOB NOT NULL,                                    -- sorts by time
    tenant TEXT NOT NULL,
    source TEXT NOT NULL,
    key BLOB NOT NULL,                                    -- by which it is known again
    workflow TEXT NOT NULL,                               -- its source's, as it was taken in
    message_id TEXT NOT NULL,                             -- empty for none
    place TEXT NOT NULL,
    outcome TEXT NOT NULL,                                -- run, filtered, dead, discarded
    reason TEXT NOT NULL,
    run_id TEXT,
    path TEXT,                                            -- of its run: primary, shadow
    content BLOB,                                         -- of a dead one
    settled_by TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, source, key)
);
CREATE UNIQUE INDEX intake_entries_uid ON intake_entries (tenant, uid);
CREATE INDEX intake_entries_source ON intake_entries (tenant, source, uid);
CREATE INDEX intake_entries_at ON intake_entries (tenant, workflow, at, uid);
CREATE INDEX intake_entries_message ON intake_entries (tenant, message_id, uid) WHERE message_id <> '';
CREATE INDEX intake_entries_run ON intake_entries (tenant, run_id, uid) WHERE run_id IS NOT NULL;
CREATE INDEX intake_entries_dead ON intake_entries (tenant, uid) WHERE outcome = 'dead';

CREATE TABLE shadow_outcomes (                            -- what another path made of messages
    tenant TEXT NOT NULL,
    workflow TEXT NOT NULL,
    message_id TEXT NOT NULL,
    decided TEXT NOT NULL,                                -- sent, review, withheld, failed
    text TEXT NOT NULL,                                   -- what it answered; empty for none
    text_digest BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, workflow, message_id)
);
CREATE INDEX shadow_outcomes_at ON shadow_outcomes (tenant, workflow, at);

CREATE TABLE alerts (
    tenant TEXT NOT NULL,
    rule TEXT NOT NULL,
    about TEXT NOT NULL,                                  -- within the rule; empty for all
    since INTEGER NOT NULL,                               -- when it was seen first
    state TEXT NOT NULL,                                  -- pending, firing, resolved
    severity TEXT NOT NULL,
    value REAL NOT NULL,
    text TEXT NOT NULL,
    fired_at INTEGER,
    resolved_at INTEGER,
    told_at INTEGER,
    PRIMARY KEY (tenant, rule, about, since)
);
CREATE INDEX alerts_open ON alerts (tenant, rule, about) WHERE resolved_at IS NULL;
CREATE INDEX alerts_age ON alerts (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX alerts_resolved ON alerts (tenant, resolved_at) WHERE resolved_at IS NOT NULL;

CREATE TABLE duties (                                     -- what one process does at a time, over all tenants
    name TEXT PRIMARY KEY,
    holder BLOB,                                          -- NULL: it was let go
    term INTEGER NOT NULL,                                -- rises with each holder
    until INTEGER NOT NULL
) WITHOUT ROWID;
