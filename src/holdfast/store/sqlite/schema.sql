-- The whole schema on SQLite, as the migrations leave it. Instants are microseconds since 1970, UTC.

CREATE TABLE clock (offset_us INTEGER NOT NULL);          -- one row; tests move time with it
CREATE TABLE epochs (value INTEGER NOT NULL);             -- one row; the last fencing token given out

CREATE TABLE workflows (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    input_schema BLOB NOT NULL,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;

CREATE TABLE workers (
    id BLOB PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    protocol INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    beat_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    claim_id BLOB,
    slots INTEGER,                                        -- how many runs it executes at once, if it said so
    memory_bytes INTEGER,                                 -- that its process took at the last beat
    draining INTEGER NOT NULL DEFAULT 0                   -- it was asked to end
) WITHOUT ROWID;

CREATE TABLE runs (
    uid BLOB NOT NULL,                                    -- UUIDv7: sorts by time of creation
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    status TEXT NOT NULL,                                 -- open, held, succeeded, failed, cancelled
    generation INTEGER NOT NULL,
    rescues INTEGER NOT NULL,
    rescue_seq INTEGER NOT NULL,                          -- the last checkpoint known at the last rescue
    epoch INTEGER NOT NULL,                               -- under which it was last parked or settled
    input BLOB NOT NULL,
    output BLOB,                                          -- result, failure, or the reason of a hold
    attributes BLOB,
    control BLOB,                                         -- what a person asked of it
    parent_uid BLOB,
    parent_position BLOB,
    parent_generation INTEGER,
    created_at INTEGER NOT NULL,
    due_at INTEGER,
    deadline_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    lane BLOB,                                            -- the lane that it takes a slot of
    lanes_above BLOB,                                     -- the lanes whose slots its ancestors hold, 16 bytes each
    parent_group INTEGER,                                 -- the length of its fan-out's position, the beginning of parent_position
    forked_from BLOB,                                     -- the run whose journal it began with
    forked_seq INTEGER,                                   -- up to this seq
    cuts BLOB,                                            -- what later generations keep of earlier ones
    failed_seq INTEGER,                                   -- the entry whose error ended it
    lane_name TEXT,                                       -- what its lane's row is made of again: that one is deleted
    lane_key TEXT,                                        -- when nobody is in the lane, and a run may join later
    lane_slots INTEGER
);
CREATE UNIQUE INDEX runs_uid ON runs (uid);
CREATE UNIQUE INDEX runs_id ON runs (tenant, id);
CREATE INDEX runs_tenant ON runs (tenant, uid);
CREATE INDEX runs_parent ON runs (parent_uid, parent_position) WHERE parent_uid IS NOT NULL;
CREATE INDEX runs_forked ON runs (forked_from) WHERE forked_from IS NOT NULL;

CREATE TABLE ready (
    queue TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    run BLOB NOT NULL,
    fresh INTEGER NOT NULL,
    PRIMARY KEY (queue, workflow, version, protocol, rank, run)
) WITHOUT ROWID;

CREATE TABLE running (
    run BLOB PRIMARY KEY,
    worker BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    claim_id BLOB NOT NULL,
    claimed_at INTEGER NOT NULL,
    fresh INTEGER NOT NULL,
    queue TEXT,                                           -- if the queue is limited: what counts against its limit
    asked INTEGER NOT NULL DEFAULT 0                      -- a person asks something of it: see the run's control
) WITHOUT ROWID;
CREATE INDEX running_queue ON running (queue) WHERE queue IS NOT NULL;
CREATE INDEX running_asked ON running (worker) WHERE asked = 1;

CREATE TABLE parked (
    run BLOB PRIMARY KEY,
    epoch INTEGER NOT NULL,                               -- 0 for a run that was never claimed
    wake_at INTEGER,
    wanted INTEGER NOT NULL,                              -- outcomes still wanted before it wakes
    queue TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    lane BLOB,                                            -- the lane that it joins when it wakes
    rate BLOB,                                            -- the limit that it is counted against when it wakes
    gather BLOB                                           -- it takes starts in, for this rule
) WITHOUT ROWID;
CREATE INDEX parked_wake ON parked (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE journal (
    run BLOB NOT NULL,
    position BLOB NOT NULL,
    generation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    outcome TEXT NOT NULL,
    input BLOB,
    output BLOB,
    attempts INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (run, position, generation)
) WITHOUT ROWID;

CREATE TABLE attempts (
    run BLOB NOT NULL,
    position BLOB NOT NULL,
    generation INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    name TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    error BLOB NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    PRIMARY KEY (run, position, generation, attempt)
) WITHOUT ROWID;

CREATE TABLE lanes (
    id BLOB PRIMARY KEY,                                  -- 16 bytes that stand for tenant, name and key
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    slots INTEGER NOT NULL,                               -- how many runs may hold it at once
    held INTEGER NOT NULL                                 -- how many do
) WITHOUT ROWID;
CREATE INDEX lanes_name ON lanes (tenant, name, key);

CREATE TABLE members (                                    -- of lanes: those that hold a slot and those in line
    run BLOB PRIMARY KEY,
    lane BLOB NOT NULL,
    rank INTEGER NOT NULL,
    since INTEGER,                                        -- when it got its slot; NULL in line
    queue TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    fresh INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX members_line ON members (lane, rank, run) WHERE since IS NULL;

CREATE TABLE topics (
    id BLOB PRIMARY KEY,                                  -- 16 bytes that stand for tenant, name and key
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE waits (                                      -- for events
    run BLOB NOT NULL,
    position BLOB NOT NULL,                               -- empty for an event that cancels the run
    generation INTEGER NOT NULL,
    topic BLOB NOT NULL,
    purpose TEXT NOT NULL,                                -- wait, watch, fired
    since INTEGER NOT NULL,
    due_at INTEGER,
    PRIMARY KEY (run, position, generation, topic)
) WITHOUT ROWID;
CREATE INDEX waits_topic ON waits (topic, purpose, since, run, position);
CREATE INDEX waits_fired ON waits (run) WHERE purpose = 'fired';

CREATE TABLE events (                                     -- kept until they expire, for runs that wait later
    topic BLOB NOT NULL,
    sent_at INTEGER NOT NULL,
    id BLOB NOT NULL,
    to_all INTEGER NOT NULL,
    taken INTEGER NOT NULL,                               -- by the one run that it was for
    payload BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (topic, sent_at, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX events_id ON events (id);
CREATE INDEX events_untaken ON events (topic, to_all, sent_at, id) WHERE taken = 0;
CREATE INDEX events_expiry ON events (expires_at);

CREATE TABLE deliveries (                                 -- of events for every run: who has been given which
    event BLOB NOT NULL,
    run BLOB NOT NULL,
    PRIMARY KEY (event, run)
) WITHOUT ROWID;

CREATE TABLE deadlines (
    at INTEGER NOT NULL,
    run BLOB NOT NULL,
    tenant TEXT NOT NULL,
    PRIMARY KEY (at, run)
) WITHOUT ROWID;

CREATE TABLE queues (
    name TEXT PRIMARY KEY,
    total INTEGER,                                        -- how many runs may execute at once; NULL for any number
    per_worker INTEGER,
    paused INTEGER NOT NULL,
    per_key INTEGER                                       -- how many runs of one share may execute at once
) WITHOUT ROWID;

CREATE TABLE queue_weights (                              -- how much a share takes in its turn, where that is not one
    queue TEXT NOT NULL,
    share TEXT NOT NULL,                                  -- a tenant, or tenant/key
    weight INTEGER NOT NULL,
    PRIMARY KEY (queue, share)
) WITHOUT ROWID;

CREATE TABLE paused_workflows (name TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE served (
    worker BLOB NOT NULL,
    queue TEXT NOT NULL,
    workflow TEXT NOT NULL,
    version TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    PRIMARY KEY (worker, queue, workflow, version, protocol)
) WITHOUT ROWID;

CREATE TABLE progress (
    run BLOB PRIMARY KEY,
    current REAL NOT NULL,
    total REAL,
    note TEXT NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE attributes (                                 -- of runs, as they are searched
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    text TEXT,
    number REAL,
    run BLOB NOT NULL,
    PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE INDEX attributes_text ON attributes (tenant, name, text, run) WHERE text IS NOT NULL;
CREATE INDEX attributes_number ON attributes (tenant, name, number, run) WHERE number IS NOT NULL;

CREATE TABLE troubled (                                   -- runs that are failed, cancelled or held
    tenant TEXT NOT NULL,
    status TEXT NOT NULL,
    run BLOB NOT NULL,
    PRIMARY KEY (tenant, status, run)
) WITHOUT ROWID;
CREATE INDEX troubled_held ON troubled (tenant, run) WHERE status = 'held';

CREATE TABLE schedules (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    workflow TEXT NOT NULL,
    definition BLOB NOT NULL,
    input BLOB NOT NULL,
    options BLOB NOT NULL,
    paused INTEGER NOT NULL,
    next_at INTEGER,                                      -- NULL when it never comes again
    last_run TEXT,
    revision INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL AND paused = 0;

CREATE TABLE retention (
    workflow TEXT NOT NULL,                               -- '' for every workflow
    status TEXT NOT NULL,
    seconds INTEGER NOT NULL,
    PRIMARY KEY (workflow, status)
) WITHOUT ROWID;

CREATE TABLE users (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    email TEXT,                                           -- lower case
    password TEXT,                                        -- an argon2 hash
    document BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX users_email ON users (tenant, email) WHERE email IS NOT NULL;

CREATE TABLE keys (                                       -- to the HTTP API
    prefix TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    digest BLOB NOT NULL,                                 -- of the whole key, which is nowhere
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    used_at INTEGER
) WITHOUT ROWID;
CREATE INDEX keys_tenant ON keys (tenant, prefix);

CREATE TABLE sessions (                                   -- of people at the dashboard
    digest BLOB PRIMARY KEY,                              -- of the token, which is nowhere
    tenant TEXT NOT NULL,
    person TEXT NOT NULL,
    document BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_person ON sessions (tenant, person);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE failures (                                   -- to sign in
    key BLOB PRIMARY KEY,                                 -- 32 bytes that stand for what was tried
    tries INTEGER NOT NULL,
    expires_at INTEGER NOT NULL                           -- then counting begins again
) WITHOUT ROWID;
CREATE INDEX failures_expiry ON failures (expires_at);

CREATE TABLE audit (                                      -- who changed what
    tenant TEXT NOT NULL,
    uid BLOB NOT NULL,                                    -- sorts by time
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, uid)
) WITHOUT ROWID;
CREATE INDEX audit_action ON audit (tenant, action, uid);
CREATE INDEX audit_actor ON audit (tenant, actor, action, uid);
CREATE INDEX audit_target ON audit (tenant, target, action, uid);
CREATE INDEX audit_age ON audit (at);

CREATE TABLE replies (                                    -- to requests that named themselves
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,                            -- of the request
    begun_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    status INTEGER,                                       -- NULL while it is worked on
    headers BLOB,
    body BLOB,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE INDEX replies_expiry ON replies (expires_at);

CREATE TABLE views (                                      -- searches that people keep
    tenant TEXT NOT NULL,
    owner TEXT NOT NULL,
    page TEXT NOT NULL,
    name TEXT NOT NULL,
    query TEXT NOT NULL,
    PRIMARY KEY (tenant, owner, page, name)
) WITHOUT ROWID;

CREATE TABLE tallies (                                    -- what each process saw end in each minute and hour
    tenant TEXT NOT NULL,
    span INTEGER NOT NULL,                                -- 60 or 3600 seconds
    since INTEGER NOT NULL,                               -- seconds since 1970
    workflow TEXT NOT NULL,
    status TEXT NOT NULL,
    process BLOB NOT NULL,
    runs INTEGER NOT NULL,
    waited_us INTEGER NOT NULL,
    took_us INTEGER NOT NULL,
    waits BLOB NOT NULL,                                  -- how many runs waited for each power of two of microseconds
    tooks BLOB NOT NULL,
    PRIMARY KEY (tenant, span, since, workflow, status, process)
) WITHOUT ROWID;
CREATE INDEX tallies_age ON tallies (span, since);

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

INSERT INTO clock VALUES (0);
INSERT INTO epochs VALUES (0);

CREATE TABLE conversations (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    user TEXT NOT NULL,
    definition TEXT NOT NULL,
    version TEXT NOT NULL,
    status TEXT NOT NULL,                                 -- open, ended, abandoned, handed_over
    state BLOB NOT NULL,
    revision INTEGER NOT NULL,
    turns INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER,
    handover BLOB,                                        -- what is still to be done of one
    item TEXT,                                            -- the work item that it belongs to
    keep_us INTEGER NOT NULL,                             -- for so long after it has expired
    PRIMARY KEY (tenant, id)
);
CREATE INDEX conversations_changed ON conversations (tenant, changed_at, id);
CREATE INDEX conversations_user ON conversations (tenant, user, changed_at, id);
CREATE INDEX conversations_item ON conversations (tenant, item, changed_at, id) WHERE item IS NOT NULL;
CREATE INDEX conversations_expiry ON conversations (expires_at + keep_us);
CREATE INDEX conversations_handover ON conversations (changed_at) WHERE handover IS NOT NULL;

CREATE TABLE turns (
    tenant TEXT NOT NULL,
    conversation TEXT NOT NULL,
    number INTEGER NOT NULL,
    id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    actor TEXT NOT NULL,
    message TEXT NOT NULL,
    response BLOB NOT NULL,
    text TEXT NOT NULL,                                   -- what the model said, as it came
    change BLOB NOT NULL,                                 -- of the state, as a JSON merge patch
    model TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cost REAL,
    waited_us INTEGER NOT NULL,
    model_us INTEGER NOT NULL,
    took_us INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, conversation, number)
);
CREATE UNIQUE INDEX turns_id ON turns (tenant, conversation, id);

CREATE TABLE turn_holds (                                 -- who has a conversation, or had it last
    tenant TEXT NOT NULL,
    conversation TEXT NOT NULL,
    user TEXT NOT NULL,
    token INTEGER NOT NULL,                               -- rises each time that it is taken
    ticket BLOB,                                          -- NULL: nobody
    turn_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (tenant, conversation)
);

CREATE TABLE turn_line (                                  -- who waits for one
    tenant TEXT NOT NULL,
    conversation TEXT NOT NULL,
    place INTEGER NOT NULL,
    ticket BLOB NOT NULL,
    until INTEGER NOT NULL,                               -- lost then, unless its owner says before that it still waits
    PRIMARY KEY (tenant, conversation, place)
) WITHOUT ROWID;

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

CREATE TABLE chunks (                                     -- what runs write to their streams
    run BLOB NOT NULL,
    stream TEXT NOT NULL,
    ordinal INTEGER NOT NULL,                             -- the offset
    kind TEXT NOT NULL CHECK (kind IN ('data', 'reset', 'end')),
    at INTEGER NOT NULL,
    writer BLOB NOT NULL,                                 -- which code of the run
    generation INTEGER NOT NULL,
    seq INTEGER NOT NULL,                                 -- the run's highest when it was written
    data BLOB NOT NULL,
    PRIMARY KEY (run, stream, ordinal)
) WITHOUT ROWID;

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

CREATE TABLE graph_checkpoints (
    tenant TEXT NOT NULL,
    thread TEXT NOT NULL,
    namespace TEXT NOT NULL,                              -- '' for the graph itself, else of a graph inside it
    id TEXT NOT NULL,                                     -- rises
    parent TEXT,
    run TEXT,                                             -- LangGraph's id of the run that made it
    coding TEXT NOT NULL,
    document BLOB NOT NULL,                               -- the checkpoint without the channels' values
    versions TEXT NOT NULL,                               -- JSON: of each channel
    facts TEXT NOT NULL,                                  -- JSON: what is searched for of the metadata
    PRIMARY KEY (tenant, thread, namespace, id)
);
CREATE INDEX graph_checkpoints_thread ON graph_checkpoints (tenant, thread, id, namespace);
CREATE INDEX graph_checkpoints_tenant ON graph_checkpoints (tenant, id, thread, namespace);
CREATE INDEX graph_checkpoints_run ON graph_checkpoints (tenant, run) WHERE run IS NOT NULL;

CREATE TABLE graph_values (                               -- of channels: one for all checkpoints that have it
    tenant TEXT NOT NULL,
    thread TEXT NOT NULL,
    namespace TEXT NOT NULL,
    channel TEXT NOT NULL,
    version TEXT NOT NULL,
    coding TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (tenant, thread, namespace, channel, version)
);

CREATE TABLE graph_writes (                               -- of tasks that a checkpoint's next one is made from
    tenant TEXT NOT NULL,
    thread TEXT NOT NULL,
    namespace TEXT NOT NULL,
    checkpoint TEXT NOT NULL,
    task TEXT NOT NULL,
    number INTEGER NOT NULL,                              -- below 0: may be written again
    path TEXT NOT NULL,
    channel TEXT NOT NULL,
    coding TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (tenant, thread, namespace, checkpoint, task, number)
);

CREATE TABLE graph_items (                                -- of LangGraph's store
    tenant TEXT NOT NULL,
    namespace TEXT NOT NULL,                              -- each label with a period behind it, and one before all
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    ttl_us INTEGER,                                       -- for so long after it was last looked at
    expires_at INTEGER,
    PRIMARY KEY (tenant, namespace, key)
);
CREATE INDEX graph_items_expiry ON graph_items (tenant, expires_at) WHERE expires_at IS NOT NULL;

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

CREATE TABLE lost_workers (                               -- whose lease ended, and that did not sign off
    id BLOB PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    at INTEGER NOT NULL                                   -- when the lease ended
) WITHOUT ROWID;
CREATE INDEX lost_workers_at ON lost_workers (at);

CREATE TABLE duties (                                     -- what one process does at a time, over all tenants
    name TEXT PRIMARY KEY,
    holder BLOB,                                          -- NULL: it was let go
    term INTEGER NOT NULL,                                -- rises with each holder
    until INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE messages (                                   -- what runs and clients publish
    uid BLOB NOT NULL,                                    -- sorts by time of publication
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    channel TEXT NOT NULL,
    key TEXT,
    status TEXT NOT NULL,                                 -- pending, sending, sent, failed, dead, withheld, discarded
    verdict TEXT NOT NULL,                                -- of the code: mode, review, refused, shadow, send
    reason TEXT NOT NULL,
    approved_by TEXT,
    doubt INTEGER NOT NULL,                               -- it may have been sent
    attempts INTEGER NOT NULL,                            -- since it was published, or sent again
    repeats INTEGER NOT NULL,                             -- other publications with its id
    error TEXT,
    workflow TEXT NOT NULL,
    run BLOB,
    run_id TEXT NOT NULL,
    position BLOB NOT NULL,
    generation INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    body BLOB NOT NULL,
    body_digest BLOB NOT NULL,                            -- of what was published, whatever a person made of it
    text_digest BLOB NOT NULL,
    repeated BLOB,                                        -- the last publication that was counted among the repeats
    claim_id BLOB,                                        -- under which it was settled last
    change_uid BLOB                                       -- the record of who changed it last
);
CREATE UNIQUE INDEX messages_uid ON messages (uid);
CREATE UNIQUE INDEX messages_id ON messages (tenant, id);
CREATE INDEX messages_status ON messages (tenant, status, uid);
CREATE INDEX messages_channel ON messages (tenant, channel, uid);
CREATE INDEX messages_workflow ON messages (tenant, workflow, uid);
CREATE INDEX messages_key ON messages (tenant, key, uid) WHERE key IS NOT NULL;
CREATE INDEX messages_run ON messages (run, uid) WHERE run IS NOT NULL;
CREATE INDEX messages_ended ON messages (ended_at) WHERE status IN ('sent', 'withheld', 'discarded');

CREATE TABLE message_queue (                              -- those that can be claimed, then or now
    channel TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    uid BLOB NOT NULL,
    PRIMARY KEY (channel, due_at, uid)
) WITHOUT ROWID;

CREATE TABLE message_sends (                              -- those in a worker's hands
    uid BLOB PRIMARY KEY,
    worker BLOB NOT NULL,
    claim_id BLOB NOT NULL,
    channel TEXT NOT NULL,
    resend INTEGER NOT NULL,                              -- it may be sent again if the worker is lost
    claimed_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX message_sends_claim ON message_sends (claim_id);
CREATE INDEX message_sends_channel ON message_sends (channel);

CREATE TABLE message_lines (                              -- of messages with a key, the first that is not over
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    key TEXT NOT NULL,
    head BLOB NOT NULL,
    PRIMARY KEY (tenant, channel, key)
);

CREATE TABLE message_places (                             -- and those behind it
    tenant TEXT NOT NULL,
    channel TEXT NOT NULL,
    key TEXT NOT NULL,
    place INTEGER NOT NULL,
    uid BLOB NOT NULL,
    PRIMARY KEY (tenant, channel, key, place)
) WITHOUT ROWID;
CREATE INDEX message_places_uid ON message_places (uid);
CREATE INDEX message_places_channel ON message_places (channel);

CREATE TABLE message_attempts (
    uid BLOB NOT NULL,
    number INTEGER NOT NULL,                              -- of all of the message's
    tenant TEXT NOT NULL,
    attempt INTEGER NOT NULL,                             -- since it was published, or sent again
    outcome TEXT NOT NULL,                                -- sent, failed, dead, or lost with its worker
    detail TEXT NOT NULL,
    doubt INTEGER NOT NULL,
    began_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    PRIMARY KEY (uid, number)
) WITHOUT ROWID;

CREATE TABLE blobs (                                      -- in place of each stands a reference with its id
    id BLOB PRIMARY KEY,                                  -- sorts by time
    size_bytes INTEGER NOT NULL,
    location TEXT,                                        -- an object storage or a folder; NULL: in blob_parts
    at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE blob_parts (                                 -- the bytes of those that the database keeps
    blob BLOB NOT NULL,
    number INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX blob_parts_blob ON blob_parts (blob, number);

CREATE TABLE blob_uses (                                  -- by runs, whose tenants read it; by kept events
    run BLOB NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (run, blob)
) WITHOUT ROWID;
CREATE INDEX blob_uses_blob ON blob_uses (blob);

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

CREATE TABLE publish_settings (
    tenant TEXT NOT NULL,
    workflow TEXT NOT NULL,                               -- empty: of all that have no row
    mode TEXT,                                            -- off, draft, auto; NULL: as of all
    path TEXT NOT NULL,                                   -- primary, shadow
    path_since INTEGER NOT NULL,
    copies_until INTEGER NOT NULL,                        -- until then the other path is given copies
    revision INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, workflow)
) WITHOUT ROWID;
