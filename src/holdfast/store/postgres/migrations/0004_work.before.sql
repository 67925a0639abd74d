-- The human work queue: subjects and signals, definitions, items and their history, dependencies.

CREATE TABLE holdfast.subjects (                          -- whom work is about
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    assignee text COLLATE "C",
    properties bytea NOT NULL,
    contacts bytea NOT NULL,
    weak integer NOT NULL,                                -- how many of the contacts are
    signals jsonb NOT NULL,                               -- the latest value of each: numbers, for scores
    signals_at jsonb NOT NULL,                            -- and since when
    scores bytea NOT NULL,
    demo boolean NOT NULL,
    created_at bigint NOT NULL,
    revision bigint NOT NULL,
    folded text COLLATE "C" NOT NULL,                     -- name and id in one case, as they are searched
    PRIMARY KEY (tenant, id)
) WITH (fillfactor = 70);                                 -- signals and scores change in place: no index is touched
CREATE INDEX subjects_assignee ON holdfast.subjects (tenant, assignee, id) WHERE assignee IS NOT NULL;

CREATE TABLE holdfast.signals (                           -- every measured fact about a subject
    tenant text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    value double precision NOT NULL,
    source text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, subject, name, at)
);

CREATE TABLE holdfast.signal_names (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE holdfast.definitions (                       -- kinds of work: the newest version of each, which counts
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    weight integer NOT NULL,
    active boolean NOT NULL,
    demo boolean NOT NULL,
    position integer,                                     -- in the demo
    document bytea NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE holdfast.definition_versions (               -- every version, the newest among them
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    weight integer NOT NULL,
    active boolean NOT NULL,
    demo boolean NOT NULL,
    position integer,
    document bytea NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, id, version)
);

CREATE TABLE holdfast.work_settings (
    tenant text COLLATE "C" PRIMARY KEY,
    document bytea NOT NULL,
    revision bigint NOT NULL
);

CREATE TABLE holdfast.items (                             -- pieces of work for people
    tenant text COLLATE "C" NOT NULL,
    uid bytea NOT NULL,                                   -- sorts by time
    id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,                       -- work, ask, hold
    definition text COLLATE "C",
    definition_version integer,
    type text COLLATE "C" NOT NULL,
    weight integer NOT NULL,                              -- where there is no definition
    title text COLLATE "C" NOT NULL,
    subject text COLLATE "C",
    assignee text COLLATE "C",
    pool text COLLATE "C",
    claimed_until bigint,
    escalated_to text COLLATE "C",
    escalated_at bigint,
    acknowledge_by bigint,
    status text COLLATE "C" NOT NULL,                     -- not_started, underway, completed, snoozed, skipped
    priority integer NOT NULL,                            -- as last computed; in no index: all change at once
    snooze_until bigint,
    snooze_days integer,
    snoozed_at bigint,
    returns_at bigint,
    due_at bigint,
    act_at bigint,                                        -- when it has to be looked at
    blocked boolean NOT NULL,
    started_at bigint,
    completed_at bigint,
    skipped_at bigint,
    skip_reason text COLLATE "C",
    document bytea NOT NULL,
    data bytea NOT NULL,
    run text COLLATE "C",                                 -- the id of the run that waits for it or is held
    demo boolean NOT NULL,
    position integer,
    created_at bigint NOT NULL,
    revision bigint NOT NULL,
    folded text COLLATE "C" NOT NULL                      -- the title in one case, as it is searched
) WITH (fillfactor = 70);                                 -- room for new priorities and data: no index is touched
CREATE UNIQUE INDEX items_uid ON holdfast.items (tenant, uid);
CREATE UNIQUE INDEX items_id ON holdfast.items (tenant, id);
CREATE INDEX items_status ON holdfast.items (tenant, status, uid);
CREATE INDEX items_type ON holdfast.items (tenant, type, uid);
CREATE INDEX items_assignee ON holdfast.items (tenant, assignee, uid);
CREATE INDEX items_definition ON holdfast.items (tenant, definition, uid) WHERE definition IS NOT NULL;
CREATE INDEX items_subject ON holdfast.items (tenant, subject, uid) WHERE subject IS NOT NULL;
CREATE INDEX items_pool ON holdfast.items (tenant, pool, uid) WHERE pool IS NOT NULL;
CREATE INDEX items_escalated ON holdfast.items (tenant, escalated_to, uid) WHERE escalated_to IS NOT NULL;
CREATE INDEX items_kind ON holdfast.items (tenant, kind, uid) WHERE kind <> 'work';
CREATE INDEX items_blocked ON holdfast.items (tenant, uid) WHERE blocked;
CREATE INDEX items_demo ON holdfast.items (tenant, uid) WHERE demo;
CREATE INDEX items_open ON holdfast.items (tenant, uid) WHERE status IN ('not_started', 'underway', 'snoozed');
CREATE INDEX items_queue ON holdfast.items (tenant, assignee, uid)
    WHERE status IN ('not_started', 'underway', 'snoozed');
CREATE INDEX items_unclaimed ON holdfast.items (tenant, pool, uid)
    WHERE pool IS NOT NULL AND assignee IS NULL AND status IN ('not_started', 'underway', 'snoozed');
CREATE INDEX items_due ON holdfast.items (tenant, due_at)
    WHERE due_at IS NOT NULL AND status IN ('not_started', 'underway', 'snoozed');
CREATE INDEX items_act ON holdfast.items (act_at, tenant, uid)
    WHERE act_at IS NOT NULL AND status IN ('not_started', 'underway', 'snoozed');
CREATE INDEX items_run ON holdfast.items (kind, tenant, run)
    WHERE run IS NOT NULL AND status IN ('not_started', 'underway', 'snoozed');
CREATE INDEX items_completed ON holdfast.items (tenant, definition, completed_at)
    WHERE completed_at IS NOT NULL AND started_at IS NOT NULL AND NOT demo;

CREATE TABLE holdfast.item_events (                       -- each change of an item
    tenant text COLLATE "C" NOT NULL,
    item bytea NOT NULL,
    revision bigint NOT NULL,
    at bigint NOT NULL,
    actor text COLLATE "C" NOT NULL,
    move text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    changes bytea NOT NULL,
    reason text COLLATE "C",
    definition text COLLATE "C",
    assignee text COLLATE "C",
    since_us bigint NOT NULL,                             -- the item's creation
    batch bytea,
    demo boolean NOT NULL
);
CREATE UNIQUE INDEX item_events_item ON holdfast.item_events (tenant, item, revision);
CREATE INDEX item_events_at ON holdfast.item_events (tenant, at);
CREATE INDEX item_events_definition ON holdfast.item_events (tenant, definition, at) WHERE definition IS NOT NULL;
CREATE INDEX item_events_assignee ON holdfast.item_events (tenant, assignee, at) WHERE assignee IS NOT NULL;
CREATE INDEX item_events_batch ON holdfast.item_events (tenant, batch, item) WHERE batch IS NOT NULL;

CREATE TABLE holdfast.places (                            -- of definitions and subjects: one item at a time has it
    tenant text COLLATE "C" NOT NULL,
    definition text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    item bytea NOT NULL,                                  -- who has it, or had it last
    until bigint,                                         -- NULL while the item is open
    PRIMARY KEY (tenant, definition, subject)
) WITH (fillfactor = 85);

CREATE TABLE holdfast.item_links (                        -- an item waits for another one, or for a run
    tenant text COLLATE "C" NOT NULL,
    item bytea NOT NULL,
    on_item bytea,
    on_run text COLLATE "C",
    created_at bigint NOT NULL,
    done_at bigint                                        -- NULL while it waits
);
CREATE UNIQUE INDEX item_links_item ON holdfast.item_links (tenant, item, on_item);
CREATE UNIQUE INDEX item_links_run ON holdfast.item_links (tenant, item, on_run) WHERE on_run IS NOT NULL;
CREATE INDEX item_links_on_item ON holdfast.item_links (tenant, on_item) WHERE on_item IS NOT NULL;
CREATE INDEX item_links_on_run ON holdfast.item_links (tenant, on_run) WHERE on_run IS NOT NULL AND done_at IS NULL;

CREATE INDEX troubled_held ON holdfast.troubled (tenant, run) WHERE status = 'held';

CREATE TYPE holdfast.subject_row AS (
    tenant text, id text, name text, assignee text, properties bytea, contacts bytea, weak integer, demo boolean,
    created_at bigint, revision bigint, folded text
);
CREATE TYPE holdfast.signal_row AS (
    tenant text, subject text, name text, at bigint, value double precision, source text
);
CREATE TYPE holdfast.item_row AS (
    tenant text, uid bytea, id text, kind text, definition text, definition_version integer, type text, weight integer,
    title text, subject text, assignee text, pool text, claimed_until bigint, escalated_to text, escalated_at bigint,
    acknowledge_by bigint, status text, priority integer, snooze_until bigint, snooze_days integer, snoozed_at bigint,
    returns_at bigint, due_at bigint, act_at bigint, blocked boolean, started_at bigint, completed_at bigint,
    skipped_at bigint, skip_reason text, document bytea, data bytea, run text, demo boolean, "position" integer,
    created_at bigint, revision bigint, folded text, changed_at bigint
);
CREATE TYPE holdfast.item_event_row AS (
    tenant text, item bytea, revision bigint, at bigint, actor text, move text, status text, changes bytea, reason text,
    definition text, assignee text, since_us bigint, batch bytea, demo boolean
);
CREATE TYPE holdfast.place_row AS (
    tenant text, definition text, subject text, item bytea, until bigint
);
CREATE TYPE holdfast.item_link_row AS (
    tenant text, item bytea, on_item bytea, on_run text, created_at bigint, done_at bigint
);

ALTER TABLE holdfast.subjects ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.subjects TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.subjects FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.signals ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.signals TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.signals FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.signal_names ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.signal_names TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.signal_names FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.definitions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.definitions TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.definitions FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.definition_versions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.definition_versions TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.definition_versions FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.work_settings ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.work_settings TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.work_settings FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.items ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.items TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.items FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.item_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.item_events TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.item_events FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.places ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.places TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.places FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.item_links ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.item_links TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.item_links FOR SELECT USING (tenant = holdfast.tenant());
