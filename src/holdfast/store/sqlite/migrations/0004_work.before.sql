-- The human work queue: subjects and signals, definitions, items and their history, dependencies.

CREATE TABLE subjects (                                   -- whom work is about
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    assignee TEXT,
    properties BLOB NOT NULL,
    contacts BLOB NOT NULL,
    weak INTEGER NOT NULL,                                -- how many of the contacts are
    signals TEXT NOT NULL,                                -- JSON: the latest value of each, for scores
    signals_at TEXT NOT NULL,                             -- JSON: and since when
    scores BLOB NOT NULL,
    demo INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    folded TEXT NOT NULL,                                 -- name and id as they are searched
    PRIMARY KEY (tenant, id)
);
CREATE INDEX subjects_assignee ON subjects (tenant, assignee, id) WHERE assignee IS NOT NULL;

CREATE TABLE signals (                                    -- every measured fact about a subject
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    value REAL NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (tenant, subject, name, at)
) WITHOUT ROWID;

CREATE TABLE signal_names (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

CREATE TABLE definitions (                                -- kinds of work: the newest version of each, which counts
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    weight INTEGER NOT NULL,
    active INTEGER NOT NULL,
    demo INTEGER NOT NULL,
    position INTEGER,                                     -- in the demo
    document BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

CREATE TABLE definition_versions (                        -- every version, the newest among them
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    weight INTEGER NOT NULL,
    active INTEGER NOT NULL,
    demo INTEGER NOT NULL,
    position INTEGER,
    document BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id, version)
) WITHOUT ROWID;

CREATE TABLE work_settings (
    tenant TEXT PRIMARY KEY,
    document BLOB NOT NULL,
    revision INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE items (                                      -- pieces of work for people
    tenant TEXT NOT NULL,
    uid BLOB NOT NULL,                                    -- sorts by time
    id TEXT NOT NULL,
    kind TEXT NOT NULL,                                   -- work, ask, hold
    definition TEXT,
    definition_version INTEGER,
    type TEXT NOT NULL,
    weight INTEGER NOT NULL,                              -- where there is no definition
    title TEXT NOT NULL,
    subject TEXT,
    assignee TEXT,
    pool TEXT,
    claimed_until INTEGER,
    escalated_to TEXT,
    escalated_at INTEGER,
    acknowledge_by INTEGER,
    status TEXT NOT NULL,                                 -- not_started, underway, completed, snoozed, skipped
    priority INTEGER NOT NULL,                            -- as last computed; in no index: all change at once
    snooze_until INTEGER,
    snooze_days INTEGER,
    snoozed_at INTEGER,
    returns_at INTEGER,
    due_at INTEGER,
    act_at INTEGER,                                       -- when it has to be looked at
    blocked INTEGER NOT NULL,
    started_at INTEGER,
    completed_at INTEGER,
    skipped_at INTEGER,
    skip_reason TEXT,
    document BLOB NOT NULL,
    data BLOB NOT NULL,
    run TEXT,                                             -- the id of the run that waits for it or is held
    demo INTEGER NOT NULL,
    position INTEGER,
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    folded TEXT NOT NULL                                  -- the title as it is searched
);
CREATE UNIQUE INDEX items_uid ON items (tenant, uid);
CREATE UNIQUE INDEX items_id ON items (tenant, id);
CREATE INDEX items_status ON items (tenant, status, uid);
CREATE INDEX items_type ON items (tenant, type, uid);
CREATE INDEX items_assignee ON items (tenant, assignee, uid);
CREATE INDEX items_definition ON items (tenant, definition, uid) WHERE definition IS NOT NULL;
CREATE INDEX items_subject ON items (tenant, subject, uid) WHERE subject IS NOT NULL;
CREATE INDEX items_pool ON items (tenant, pool, uid) WHERE pool IS NOT NULL;
CREATE INDEX items_escalated ON items (tenant, escalated_to, uid) WHERE escalated_to IS NOT NULL;
CREATE INDEX items_kind ON items (tenant, kind, uid) WHERE kind <> 'work';
CREATE INDEX items_blocked ON items (tenant, uid) WHERE blocked = 1;
CREATE INDEX items_demo ON items (tenant, uid) WHERE demo = 1;
CREATE INDEX items_open ON items (tenant, uid) WHERE status IN ('not_started', 'underway', 'snoozed');
CREATE INDEX items_queue ON items (tenant, assignee, uid) WHERE status IN ('not_started', 'underway', 'snoozed');
CREATE INDEX items_unclaimed ON items (tenant, pool, uid)
    WHERE pool IS NOT NULL AND assignee IS NULL AND status IN ('not_started', 'underway', 'snoozed');
CREATE INDEX items_due ON items (tenant, due_at)
    WHERE due_at IS NOT NULL AND status IN ('not_started', 'underway', 'snoozed');
CREATE INDEX items_act ON items (act_at)
    WHERE act_at IS NOT NULL AND status IN ('not_started', 'underway', 'snoozed');
CREATE INDEX items_run ON items (kind, tenant, run)
    WHERE run IS NOT NULL AND status IN ('not_started', 'underway', 'snoozed');
CREATE INDEX items_completed ON items (tenant, definition, completed_at)
    WHERE completed_at IS NOT NULL AND started_at IS NOT NULL AND demo = 0;

CREATE TABLE item_events (                                -- each change of an item, in the order of time
    tenant TEXT NOT NULL,
    item BLOB NOT NULL,
    revision INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    move TEXT NOT NULL,
    status TEXT NOT NULL,
    changes BLOB NOT NULL,
    reason TEXT,
    definition TEXT,
    assignee TEXT,
    since_us INTEGER NOT NULL,                            -- the item's creation
    batch BLOB,
    demo INTEGER NOT NULL
);
CREATE UNIQUE INDEX item_events_item ON item_events (tenant, item, revision);
CREATE INDEX item_events_at ON item_events (tenant, at);
CREATE INDEX item_events_batch ON item_events (tenant, batch, item) WHERE batch IS NOT NULL;

CREATE TABLE places (                                     -- of definitions and subjects: one item at a time has it
    tenant TEXT NOT NULL,
    definition TEXT NOT NULL,
    subject TEXT NOT NULL,
    item BLOB NOT NULL,                                   -- who has it, or had it last
    until INTEGER,                                        -- NULL while the item is open
    PRIMARY KEY (tenant, definition, subject)
) WITHOUT ROWID;

CREATE TABLE item_links (                                 -- an item waits for another one, or for a run
    tenant TEXT NOT NULL,
    item BLOB NOT NULL,
    on_item BLOB,
    on_run TEXT,
    created_at INTEGER NOT NULL,
    done_at INTEGER                                       -- NULL while it waits
);
CREATE UNIQUE INDEX item_links_item ON item_links (tenant, item, on_item);
CREATE UNIQUE INDEX item_links_run ON item_links (tenant, item, on_run) WHERE on_run IS NOT NULL;
CREATE INDEX item_links_on_item ON item_links (tenant, on_item) WHERE on_item IS NOT NULL;
CREATE INDEX item_links_on_run ON item_links (tenant, on_run) WHERE on_run IS NOT NULL AND done_at IS NULL;

CREATE INDEX troubled_held ON troubled (tenant, run) WHERE status = 'held';
