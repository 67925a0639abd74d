-- The whole schema on PostgreSQL, as the migrations leave it. Instants are microseconds since 1970, UTC.
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
    slots bigint,                                         -- how many runs it executes at once, if it said so
    memory_bytes bigint,                                  -- that its process took at the last beat
    draining boolean NOT NULL DEFAULT false               -- it was asked to end
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
    finished_at bigint,
    lane bytea,                                           -- the lane that it takes a slot of
    lanes_above bytea,                                    -- the lanes whose slots its ancestors hold, 16 bytes each
    parent_group integer,                                 -- the length of its fan-out's position, the beginning of parent_position
    forked_from bytea,                                    -- the run whose journal it began with
    forked_seq bigint,                                    -- up to this seq
    cuts bytea,                                           -- what later generations keep of earlier ones
    failed_seq bigint,                                    -- the entry whose error ended it
    lane_name text COLLATE "C",                           -- what its lane's row is made of again: that one is deleted
    lane_key text COLLATE "C",                            -- when nobody is in the lane, and a run may join later
    lane_slots bigint
) WITH (fillfactor = 85);                                 -- room for its parks and its end beside it: no index is touched
-- First, so that runs_uid is preferred where the planner takes them for equal: in a table that is empty yet.
CREATE INDEX runs_tenant ON holdfast.runs (tenant, uid);
CREATE UNIQUE INDEX runs_uid ON holdfast.runs (uid);
CREATE UNIQUE INDEX runs_id ON holdfast.runs (tenant, id);
CREATE INDEX runs_parent ON holdfast.runs (parent_uid, parent_position) WHERE parent_uid IS NOT NULL;
CREATE INDEX runs_forked ON holdfast.runs (forked_from) WHERE forked_from IS NOT NULL;

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
    fresh boolean NOT NULL,
    queue text COLLATE "C",                               -- if the queue is limited: what counts against its limit
    asked boolean NOT NULL DEFAULT false                  -- a person asks something of it: see the run's control
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);
CREATE INDEX running_queue ON holdfast.running (queue) WHERE queue IS NOT NULL;
CREATE INDEX running_asked ON holdfast.running (worker) WHERE asked;

CREATE TABLE holdfast.parked (
    run bytea PRIMARY KEY,
    epoch bigint NOT NULL,                                -- 0 for a run that was never claimed
    wake_at bigint,
    wanted integer NOT NULL,                              -- outcomes still wanted before it wakes
    queue text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    protocol integer NOT NULL,
    rank bigint NOT NULL,
    lane bytea,                                           -- the lane that it joins when it wakes
    rate bytea,                                           -- the limit that it is counted against when it wakes
    gather bytea                                          -- it takes starts in, for this rule
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);
CREATE INDEX parked_wake ON holdfast.parked (wake_at, run)
    WHERE wake_at IS NOT NULL AND rate IS NULL AND gather IS NULL;
CREATE INDEX parked_ruled ON holdfast.parked (wake_at, run) WHERE rate IS NOT NULL OR gather IS NOT NULL;

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

CREATE TABLE holdfast.lanes (
    id bytea PRIMARY KEY,                                 -- 16 bytes that stand for tenant, name and key
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    slots bigint NOT NULL,                                -- how many runs may hold it at once
    held bigint NOT NULL                                  -- how many do
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);
CREATE INDEX lanes_name ON holdfast.lanes (tenant, name, key);

CREATE TABLE holdfast.members (                           -- of lanes: those that hold a slot and those in line
    lane bytea NOT NULL,
    rank bigint NOT NULL,
    run bytea NOT NULL,
    since bigint,                                         -- when it got its slot; NULL in line
    queue text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    protocol integer NOT NULL,
    fresh boolean NOT NULL,
    PRIMARY KEY (lane, rank, run)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);

CREATE TABLE holdfast.topics (
    id bytea PRIMARY KEY,                                 -- 16 bytes that stand for tenant, name and key
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL
);

CREATE TABLE holdfast.waits (                             -- for events
    run bytea NOT NULL,
    position bytea NOT NULL,                              -- empty for an event that cancels the run
    generation integer NOT NULL,
    topic bytea NOT NULL,
    purpose text COLLATE "C" NOT NULL,                    -- wait, watch, fired
    since bigint NOT NULL,
    due_at bigint,
    PRIMARY KEY (run, position, generation, topic)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);
CREATE INDEX waits_topic ON holdfast.waits (topic, since);
CREATE INDEX waits_fired ON holdfast.waits (run) WHERE purpose = 'fired';

CREATE TABLE holdfast.events (                            -- kept until they expire, for runs that wait later
    topic bytea NOT NULL,
    sent_at bigint NOT NULL,
    id bytea NOT NULL,
    to_all boolean NOT NULL,
    taken boolean NOT NULL,                               -- by the one run that it was for
    payload bytea NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (topic, sent_at, id)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);
CREATE UNIQUE INDEX events_id ON holdfast.events (id);
CREATE INDEX events_kept ON holdfast.events (topic, sent_at, id) WHERE NOT taken;
CREATE INDEX events_expiry ON holdfast.events (expires_at);

CREATE TABLE holdfast.deliveries (                        -- of events for every run: who has been given which
    event bytea NOT NULL,
    run bytea NOT NULL,
    PRIMARY KEY (event, run)
);

CREATE TABLE holdfast.deadlines (
    at bigint NOT NULL,
    run bytea NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    PRIMARY KEY (at, run)
);

CREATE TABLE holdfast.queues (
    name text COLLATE "C" PRIMARY KEY,
    total bigint,                                         -- how many runs may execute at once; NULL for any number
    per_worker bigint,
    paused boolean NOT NULL,
    per_key bigint                                        -- how many runs of one share may execute at once
);

CREATE TABLE holdfast.queue_weights (                     -- how much a share takes in its turn, where that is not one
    queue text COLLATE "C" NOT NULL,
    share text COLLATE "C" NOT NULL,                      -- a tenant, or tenant/key
    weight bigint NOT NULL,
    PRIMARY KEY (queue, share)
);

CREATE TABLE holdfast.paused_workflows (name text COLLATE "C" PRIMARY KEY);

CREATE TABLE holdfast.served (
    worker bytea NOT NULL,
    queue text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    protocol integer NOT NULL,
    PRIMARY KEY (worker, queue, workflow, version, protocol)
);

CREATE TABLE holdfast.progress (
    run bytea PRIMARY KEY,
    current double precision NOT NULL,
    total double precision,
    note text COLLATE "C" NOT NULL,
    at bigint NOT NULL
);

CREATE TABLE holdfast.attributes (                        -- of runs, as they are searched
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    text text COLLATE "C",
    number double precision,
    run bytea NOT NULL,
    PRIMARY KEY (run, name)
);
CREATE INDEX attributes_text ON holdfast.attributes (tenant, name, text, run) WHERE text IS NOT NULL;
CREATE INDEX attributes_number ON holdfast.attributes (tenant, name, number, run) WHERE number IS NOT NULL;

CREATE TABLE holdfast.troubled (                          -- runs that are failed, cancelled or held
    tenant text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    run bytea NOT NULL,
    PRIMARY KEY (tenant, status, run)
);

CREATE TABLE holdfast.schedules (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    definition bytea NOT NULL,
    input bytea NOT NULL,
    options bytea NOT NULL,
    paused boolean NOT NULL,
    next_at bigint,                                       -- NULL when it never comes again
    last_run text COLLATE "C",
    revision bigint NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE INDEX schedules_due ON holdfast.schedules (next_at) WHERE next_at IS NOT NULL AND NOT paused;

CREATE TABLE holdfast.retention (
    workflow text COLLATE "C" NOT NULL,                   -- '' for every workflow
    status text COLLATE "C" NOT NULL,
    seconds bigint NOT NULL,
    PRIMARY KEY (workflow, status)
);

CREATE TABLE holdfast.users (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    email text COLLATE "C",                               -- lower case
    password text COLLATE "C",                            -- an argon2 hash
    document bytea NOT NULL,
    created_at bigint NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX users_email ON holdfast.users (tenant, email) WHERE email IS NOT NULL;

CREATE TABLE holdfast.keys (                              -- to the HTTP API
    prefix text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,                                -- of the whole key, which is nowhere
    name text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    revoked_at bigint,
    used_at bigint
) WITH (fillfactor = 50);
CREATE INDEX keys_tenant ON holdfast.keys (tenant, prefix);

CREATE TABLE holdfast.sessions (                          -- of people at the dashboard
    digest bytea PRIMARY KEY,                             -- of the token, which is nowhere
    tenant text COLLATE "C" NOT NULL,
    person text COLLATE "C" NOT NULL,
    document bytea NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX sessions_person ON holdfast.sessions (tenant, person);
CREATE INDEX sessions_expiry ON holdfast.sessions (expires_at);

CREATE TABLE holdfast.failures (                          -- to sign in
    key bytea PRIMARY KEY,                                -- 32 bytes that stand for what was tried
    tries bigint NOT NULL,
    expires_at bigint NOT NULL                            -- then counting begins again
) WITH (fillfactor = 50);
CREATE INDEX failures_expiry ON holdfast.failures (expires_at);

CREATE TABLE holdfast.audit (                             -- who changed what
    tenant text COLLATE "C" NOT NULL,
    uid bytea NOT NULL,                                   -- sorts by time
    actor text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    detail bytea NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (tenant, uid)
);
CREATE INDEX audit_action ON holdfast.audit (tenant, action, uid);
CREATE INDEX audit_actor ON holdfast.audit (tenant, actor, action, uid);
CREATE INDEX audit_target ON holdfast.audit (tenant, target, action, uid);
CREATE INDEX audit_age ON holdfast.audit (at);

CREATE TABLE holdfast.replies (                           -- to requests that named themselves
    tenant text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,                           -- of the request
    begun_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    status integer,                                       -- NULL while it is worked on
    headers bytea,
    body bytea,
    PRIMARY KEY (tenant, key)
) WITH (fillfactor = 70);
CREATE INDEX replies_expiry ON holdfast.replies (expires_at);

CREATE TABLE holdfast.views (                             -- searches that people keep
    tenant text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    page text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    query text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, owner, page, name)
);

CREATE TABLE holdfast.tallies (                           -- what each process saw end in each minute and hour
    tenant text COLLATE "C" NOT NULL,
    span bigint NOT NULL,                                 -- 60 or 3600 seconds
    since bigint NOT NULL,                                -- seconds since 1970
    workflow text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    process bytea NOT NULL,
    runs bigint NOT NULL,
    waited_us bigint NOT NULL,
    took_us bigint NOT NULL,
    waits bytea NOT NULL,                                 -- how many runs waited for each power of two of microseconds
    tooks bytea NOT NULL,
    PRIMARY KEY (tenant, span, since, workflow, status, process)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX tallies_age ON holdfast.tallies (span, since);

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

CREATE TABLE holdfast.conversations (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    "user" text COLLATE "C" NOT NULL,
    definition text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,                     -- open, ended, abandoned, handed_over
    state bytea NOT NULL,
    revision bigint NOT NULL,
    turns bigint NOT NULL,
    created_at bigint NOT NULL,
    changed_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    ended_at bigint,
    handover bytea,                                       -- what is still to be done of one
    item text COLLATE "C",                                -- the work item that it belongs to
    keep_us bigint NOT NULL,                              -- for so long after it has expired
    PRIMARY KEY (tenant, id)
) WITH (fillfactor = 70);
CREATE INDEX conversations_changed ON holdfast.conversations (tenant, changed_at, id);
CREATE INDEX conversations_user ON holdfast.conversations (tenant, "user", changed_at, id);
CREATE INDEX conversations_item ON holdfast.conversations (tenant, item, changed_at, id) WHERE item IS NOT NULL;
CREATE INDEX conversations_expiry ON holdfast.conversations ((expires_at + keep_us));
CREATE INDEX conversations_handover ON holdfast.conversations (changed_at) WHERE handover IS NOT NULL;

CREATE TABLE holdfast.turns (
    tenant text COLLATE "C" NOT NULL,
    conversation text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    actor text COLLATE "C" NOT NULL,
    message text COLLATE "C" NOT NULL,
    response bytea NOT NULL,
    text text COLLATE "C" NOT NULL,                       -- what the model said, as it came
    change bytea NOT NULL,                                -- of the state, as a JSON merge patch
    model text COLLATE "C",
    input_tokens bigint,
    output_tokens bigint,
    cost double precision,
    waited_us bigint NOT NULL,
    model_us bigint NOT NULL,
    took_us bigint NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (tenant, conversation, number)
);
CREATE UNIQUE INDEX turns_id ON holdfast.turns (tenant, conversation, id);

CREATE TABLE holdfast.turn_holds (                        -- who has a conversation, or had it last
    tenant text COLLATE "C" NOT NULL,
    conversation text COLLATE "C" NOT NULL,
    "user" text COLLATE "C" NOT NULL,
    token bigint NOT NULL,                                -- rises each time that it is taken
    ticket bytea,                                         -- NULL: nobody
    turn_id text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (tenant, conversation)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);                -- its turns change it in place: no index is touched

CREATE TABLE holdfast.turn_line (                         -- who waits for one
    tenant text COLLATE "C" NOT NULL,
    conversation text COLLATE "C" NOT NULL,
    place bigint NOT NULL,
    ticket bytea NOT NULL,
    until bigint NOT NULL,                                -- lost then, unless its owner says before that it still waits
    PRIMARY KEY (tenant, conversation, place)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

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

CREATE TABLE holdfast.chunks (                            -- what runs write to their streams
    run bytea NOT NULL,
    stream text COLLATE "C" NOT NULL,
    ordinal bigint NOT NULL,                              -- the offset
    kind text NOT NULL CHECK (kind IN ('data', 'reset', 'end')),
    at bigint NOT NULL,
    writer bytea NOT NULL,                                -- which code of the run
    generation integer NOT NULL,
    seq bigint NOT NULL,                                  -- the run's highest when it was written
    data bytea NOT NULL,
    PRIMARY KEY (run, stream, ordinal)
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

CREATE TABLE holdfast.graph_checkpoints (
    tenant text COLLATE "C" NOT NULL,
    thread text COLLATE "C" NOT NULL,
    namespace text COLLATE "C" NOT NULL,                  -- '' for the graph itself, else of a graph inside it
    id text COLLATE "C" NOT NULL,                         -- rises
    parent text COLLATE "C",
    run text COLLATE "C",                                 -- LangGraph's id of the run that made it
    coding text COLLATE "C" NOT NULL,
    document bytea NOT NULL,                              -- the checkpoint without the channels' values
    versions jsonb NOT NULL,                              -- of each channel
    facts jsonb NOT NULL,                                 -- what is searched for of the metadata
    PRIMARY KEY (tenant, thread, namespace, id)
);
CREATE INDEX graph_checkpoints_thread ON holdfast.graph_checkpoints (tenant, thread, id, namespace);
CREATE INDEX graph_checkpoints_tenant ON holdfast.graph_checkpoints (tenant, id, thread, namespace);
CREATE INDEX graph_checkpoints_run ON holdfast.graph_checkpoints (tenant, run) WHERE run IS NOT NULL;

CREATE TABLE holdfast.graph_values (                      -- of channels: one for all checkpoints that have it
    tenant text COLLATE "C" NOT NULL,
    thread text COLLATE "C" NOT NULL,
    namespace text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    coding text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (tenant, thread, namespace, channel, version)
);

CREATE TABLE holdfast.graph_writes (                      -- of tasks that a checkpoint's next one is made from
    tenant text COLLATE "C" NOT NULL,
    thread text COLLATE "C" NOT NULL,
    namespace text COLLATE "C" NOT NULL,
    checkpoint text COLLATE "C" NOT NULL,
    task text COLLATE "C" NOT NULL,
    number bigint NOT NULL,                               -- below 0: may be written again
    path text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    coding text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (tenant, thread, namespace, checkpoint, task, number)
);

CREATE TABLE holdfast.graph_items (                       -- of LangGraph's store
    tenant text COLLATE "C" NOT NULL,
    namespace text COLLATE "C" NOT NULL,                  -- each label with a period behind it, and one before all
    key text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    ttl_us bigint,                                        -- for so long after it was last looked at
    expires_at bigint,
    PRIMARY KEY (tenant, namespace, key)
);
CREATE INDEX graph_items_expiry ON holdfast.graph_items (tenant, expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE holdfast.messages (                          -- what runs and clients publish
    uid bytea NOT NULL,                                   -- sorts by time of publication
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    key text COLLATE "C",
    status text COLLATE "C" NOT NULL,                     -- pending, sending, sent, failed, dead, withheld, discarded
    verdict text NOT NULL,                                -- of the code: mode, review, refused, shadow, send
    reason text NOT NULL,
    approved_by text,
    doubt boolean NOT NULL,                               -- it may have been sent
    attempts integer NOT NULL,                            -- since it was published, or sent again
    repeats bigint NOT NULL,                              -- other publications with its id
    error text,
    workflow text COLLATE "C" NOT NULL,
    run bytea,
    run_id text NOT NULL,
    position bytea NOT NULL,
    generation integer NOT NULL,
    due_at bigint NOT NULL,
    created_at bigint NOT NULL,
    ended_at bigint,
    body bytea NOT NULL,
    body_digest bytea NOT NULL,                           -- of what was published, whatever a person made of it
    text_digest bytea NOT NULL,
    repeated bytea,                                       -- the last publication that was counted among the repeats
    claim_id bytea,                                       -- under which it was settled last
    change_uid bytea                                      -- the record of who changed it last
);
CREATE INDEX messages_status ON holdfast.messages (tenant, status, uid);
CREATE INDEX messages_channel ON holdfast.messages (tenant, channel, uid);
CREATE INDEX messages_workflow ON holdfast.messages (tenant, workflow, uid);
-- Behind those: of indexes that seem to be as good, the planner takes the last one.
CREATE UNIQUE INDEX messages_uid ON holdfast.messages (uid);
CREATE UNIQUE INDEX messages_id ON holdfast.messages (tenant, id);
CREATE INDEX messages_key ON holdfast.messages (tenant, key, uid) WHERE key IS NOT NULL;
CREATE INDEX messages_run ON holdfast.messages (run, uid) WHERE run IS NOT NULL;
CREATE INDEX messages_ended ON holdfast.messages (ended_at) WHERE status IN ('sent', 'withheld', 'discarded');

CREATE TABLE holdfast.message_queue (                     -- those that can be claimed, then or now
    channel text COLLATE "C" NOT NULL,
    due_at bigint NOT NULL,
    uid bytea NOT NULL,
    PRIMARY KEY (channel, due_at, uid)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);

CREATE TABLE holdfast.message_sends (                     -- those in a worker's hands
    uid bytea PRIMARY KEY,
    worker bytea NOT NULL,
    claim_id bytea NOT NULL,
    channel text COLLATE "C" NOT NULL,
    resend boolean NOT NULL,                              -- it may be sent again if the worker is lost
    claimed_at bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);
CREATE INDEX message_sends_claim ON holdfast.message_sends (claim_id);
CREATE INDEX message_sends_channel ON holdfast.message_sends (channel);

CREATE TABLE holdfast.message_lines (                     -- of messages with a key, the first that is not over
    tenant text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    head bytea,                                           -- NULL: of a line that a transaction has just made
    PRIMARY KEY (tenant, channel, key)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE holdfast.message_places (                    -- and those behind it
    tenant text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    place bigint NOT NULL,
    uid bytea NOT NULL,
    PRIMARY KEY (tenant, channel, key, place)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX message_places_uid ON holdfast.message_places (uid);
CREATE INDEX message_places_channel ON holdfast.message_places (channel);

CREATE TABLE holdfast.message_attempts (
    uid bytea NOT NULL,
    number bigint NOT NULL,                               -- of all of the message's
    tenant text COLLATE "C" NOT NULL,
    attempt integer NOT NULL,                             -- since it was published, or sent again
    outcome text NOT NULL,                                -- sent, failed, dead, or lost with its worker
    detail text NOT NULL,
    doubt boolean NOT NULL,
    began_at bigint NOT NULL,
    ended_at bigint NOT NULL,
    PRIMARY KEY (uid, number)
);

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

CREATE TABLE holdfast.publish_settings (
    tenant text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,                   -- empty: of all that have no row
    mode text,                                            -- off, draft, auto; NULL: as of all
    path text NOT NULL,                                   -- primary, shadow
    path_since bigint NOT NULL,
    copies_until bigint NOT NULL,                         -- until then the other path is given copies
    revision bigint NOT NULL,
    changed_by text NOT NULL,
    changed_at bigint NOT NULL,
    PRIMARY KEY (tenant, workflow)
);

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

CREATE TABLE holdfast.lost_workers (                      -- whose lease ended, and that did not sign off
    id bytea PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    at bigint NOT NULL                                    -- when the lease ended
);
CREATE INDEX lost_workers_at ON holdfast.lost_workers (at);

CREATE TABLE holdfast.duties (                            -- what one process does at a time, over all tenants
    name text COLLATE "C" PRIMARY KEY,
    holder bytea,                                         -- NULL: it was let go
    term bigint NOT NULL,                                 -- rises with each holder
    until bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);                -- changed in place: no index is touched

-- The operations of a batch as they travel: an array of rows is encoded, sent and taken apart in half
-- the time of an array for each column. The fields are those of the tuples in store/operations.py, in order.
CREATE TABLE holdfast.blobs (                             -- in place of each stands a reference with its id
    id bytea PRIMARY KEY,                                 -- sorts by time
    size_bytes bigint NOT NULL,
    location text,                                        -- an object storage or a folder; NULL: in blob_parts
    at bigint NOT NULL
);

CREATE TABLE holdfast.blob_parts (                        -- the bytes of those that the database keeps
    blob bytea NOT NULL,
    number integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (blob, number)
);
ALTER TABLE holdfast.blob_parts ALTER COLUMN data SET STORAGE EXTERNAL;  -- written as they are: compressing takes longer

CREATE TABLE holdfast.blob_uses (                         -- by runs, whose tenants read it; by kept events
    run bytea NOT NULL,
    blob bytea NOT NULL,
    PRIMARY KEY (run, blob)
);
CREATE INDEX blob_uses_blob ON holdfast.blob_uses (blob);

CREATE TYPE holdfast.start_row AS (
    uid bytea, tenant text, id text, workflow text, version text, protocol integer, queue text, priority bigint,
    rank bigint, input bytea, attributes bytea, created_at bigint, due_at bigint,
    parent_uid bytea, parent_position bytea, parent_generation integer, parent_epoch bigint,
    lane bytea, lanes_above bytea, parent_group integer, deadline_at bigint, forked_from bytea, forked_seq bigint,
    lane_name text, lane_key text, slots bigint
);
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
CREATE TYPE holdfast.checkpoint_row AS (
    run bytea, "position" bytea, generation integer, seq bigint, kind text, name text, outcome text, input bytea,
    output bytea, attempts integer, started_at bigint, finished_at bigint, epoch bigint
);
CREATE TYPE holdfast.attempt_row AS (
    run bytea, "position" bytea, generation integer, attempt integer, name text, started_at bigint, finished_at bigint,
    error bytea, next_attempt_at bigint, epoch bigint
);
CREATE TYPE holdfast.chunk_row AS (
    run bytea, epoch bigint, stream text, ordinal bigint, kind text, data bytea, at bigint, writer bytea,
    generation integer, seq bigint
);
CREATE TYPE holdfast.park_row AS (
    run bytea, epoch bigint, queue text, workflow text, version text, protocol integer, rank bigint,
    started_at bigint, wake_at bigint, wanted integer
);
CREATE TYPE holdfast.settle_row AS (
    run bytea, epoch bigint, status text, output bytea, started_at bigint, finished_at bigint, failed_seq bigint
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
CREATE TYPE holdfast.topic_row AS (
    id bytea, tenant text, name text, key text
);
CREATE TYPE holdfast.lane_row AS (
    id bytea, tenant text, name text, key text, slots bigint, run bytea, held bigint
);
CREATE TYPE holdfast.join_row AS (
    lane bytea, rank bigint, run bytea, queue text, workflow text, version text, protocol integer, fresh boolean,
    joins boolean, gets boolean
);
CREATE TYPE holdfast.listen_row AS (
    run bytea, "position" bytea, generation integer, topic bytea, purpose text, since bigint, due_at bigint
);
CREATE TYPE holdfast.event_row AS (
    topic bytea, sent_at bigint, id bytea, to_all boolean, taken boolean, payload bytea, expires_at bigint
);
CREATE TYPE holdfast.progress_row AS (
    run bytea, epoch bigint, current double precision, total double precision, note text, at bigint
);
CREATE TYPE holdfast.fact_row AS (
    tenant text, name text, text text, number double precision, run bytea
);
CREATE TYPE holdfast.audit_row AS (
    uid bytea, tenant text, actor text, action text, target text, detail bytea, at bigint
);
CREATE TYPE holdfast.tally_row AS (
    tenant text, span bigint, since bigint, workflow text, status text, process bytea, runs bigint, waited_us bigint,
    took_us bigint, waits bytea, tooks bytea
);
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

CREATE TYPE holdfast.conversation_row AS (
    tenant text, id text, "user" text, definition text, version text, status text, state bytea, revision bigint,
    turns bigint, created_at bigint, changed_at bigint, expires_at bigint, ended_at bigint, handover bytea, item text,
    keep_us bigint
);
CREATE TYPE holdfast.turn_row AS (
    tenant text, conversation text, number bigint, id text, fingerprint bytea, actor text, message text, response bytea,
    text text, change bytea, model text, input_tokens bigint, output_tokens bigint, cost double precision,
    waited_us bigint, model_us bigint, took_us bigint, at bigint
);
CREATE TYPE holdfast.turn_hold_row AS (
    tenant text, conversation text, "user" text, token bigint, ticket bytea, turn_id text, fingerprint bytea,
    since bigint, until bigint
);
CREATE TYPE holdfast.turn_take_row AS (
    tenant text, conversation text, "user" text, ticket bytea, turn_id text, fingerprint bytea, lease_us bigint,
    make boolean
);
CREATE TYPE holdfast.model_call_row AS (
    run bytea, "position" bytea, generation integer, attempt integer, number integer, epoch bigint, tenant text,
    workflow text, phase text, model text, outcome text, error text, input_tokens bigint, cached_tokens bigint,
    output_tokens bigint, cost bigint, began_at bigint, ended_at bigint
);
CREATE TYPE holdfast.artifact_row AS (
    run bytea, "position" bytea, generation integer, name text, epoch bigint, tenant text, media_type text,
    size_bytes bigint, sha256 bytea, location text, content bytea, at bigint
);
CREATE TYPE holdfast.message_row AS (
    uid bytea, tenant text, id text, channel text, key text, status text, verdict text, reason text, workflow text,
    run bytea, run_id text, "position" bytea, generation integer, due_at bigint, created_at bigint, ended_at bigint,
    body bytea, body_digest bytea, text_digest bytea
);
CREATE TYPE holdfast.message_ending_row AS (
    uid bytea, claim_id bytea, status text, outcome text, detail text, retry_at bigint, doubt boolean, began_at bigint,
    ended_at bigint
);
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

-- Takes conversations for turns where that is plain: nobody has it or stands in line, it is the user's and open, and the
-- turn is not over; what is not plain is left as it is, for who asks to look closer. And saves turns. Functions, since
-- each statement inside one sees what was committed before it began, as the second statement of a transaction does: the
-- holds are locked first, in order, and everything else is read behind those locks, in one round trip.
CREATE FUNCTION holdfast.take_turns(asked holdfast.turn_take_row[], recent integer)
RETURNS TABLE (
    i integer, token bigint, until bigint, conversation holdfast.conversation_row, messages text[], responses bytea[]
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    now bigint;
BEGIN
    INSERT INTO holdfast.turn_holds (tenant, conversation, "user", token, ticket, turn_id, fingerprint, since, until)
    SELECT v.tenant, v.conversation, v."user", 0, NULL, '', '', 0, 0 FROM unnest(asked) AS v
    WHERE v.make OR EXISTS (
        SELECT FROM holdfast.turn_holds AS h WHERE h.tenant = v.tenant AND h.conversation = v.conversation
    )
    ORDER BY v.tenant, v.conversation
    ON CONFLICT (tenant, conversation) DO UPDATE SET token = turn_holds.token WHERE false;
    now := holdfast.now_us();
    RETURN QUERY
    WITH plain AS MATERIALIZED (
        SELECT v.n, v.tenant, v.conversation, v."user", v.ticket, v.turn_id, v.fingerprint,
               greatest(now, h.token + 1) AS token, now + v.lease_us AS until, c.row
        FROM unnest(asked) WITH ORDINALITY AS v (
            tenant, conversation, "user", ticket, turn_id, fingerprint, lease_us, make, n
        )
        CROSS JOIN LATERAL (
            SELECT * FROM holdfast.turn_holds AS h
            WHERE h.tenant = v.tenant AND h.conversation = v.conversation AND (h.ticket IS NULL OR h.until <= now)
            OFFSET 0
        ) AS h
        LEFT JOIN LATERAL (
            SELECT c."user", c.status, c.expires_at, (
                c.tenant, c.id, c."user", c.definition, c.version, c.status, c.state, c.revision, c.turns, c.created_at,
                c.changed_at, c.expires_at, c.ended_at, c.handover, c.item, c.keep_us
            )::holdfast.conversation_row AS row
            FROM holdfast.conversations AS c WHERE c.tenant = v.tenant AND c.id = v.conversation OFFSET 0
        ) AS c ON true
        WHERE CASE WHEN c.row IS NULL THEN v.make
                   ELSE c."user" = v."user" AND c.status = 'open' AND c.expires_at > now END
          AND NOT EXISTS (
              SELECT FROM holdfast.turn_line AS l WHERE l.tenant = v.tenant AND l.conversation = v.conversation
          )
          AND NOT EXISTS (
              SELECT FROM holdfast.turns AS t
              WHERE t.tenant = v.tenant AND t.conversation = v.conversation AND t.id = v.turn_id
          )
    ), took AS (
        UPDATE holdfast.turn_holds AS h SET
            since = now, "user" = p."user", token = p.token, ticket = p.ticket, turn_id = p.turn_id,
            fingerprint = p.fingerprint, until = p.until
        FROM plain AS p WHERE h.tenant = p.tenant AND h.conversation = p.conversation
    )
    SELECT p.n::integer - 1, p.token, p.until, p.row, said.messages, said.responses
    FROM plain AS p
    CROSS JOIN LATERAL (
        SELECT array_agg(t.message ORDER BY t.number) AS messages, array_agg(t.response ORDER BY t.number) AS responses
        FROM (
            SELECT t.number, t.message, t.response FROM holdfast.turns AS t
            WHERE t.tenant = p.tenant AND t.conversation = p.conversation ORDER BY t.number DESC LIMIT recent
        ) AS t
    ) AS said;
END
$$;

-- Gives the numbers, from 0, of those that were held under their tokens: they are stored, the others are not. What is
-- saved has in the place of its expiry for how long it lasts.
CREATE FUNCTION holdfast.save_turns(saved holdfast.conversation_row[], tokens bigint[], ended holdfast.turn_row[])
RETURNS SETOF integer LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    now bigint;
    freed integer[];
    changed integer;
    written integer;
BEGIN
    PERFORM FROM (
        SELECT v.tenant, v.id FROM unnest(saved) AS v ORDER BY v.tenant, v.id
    ) AS v CROSS JOIN LATERAL (
        SELECT FROM holdfast.turn_holds AS h WHERE h.tenant = v.tenant AND h.conversation = v.id FOR UPDATE
    ) AS h;
    now := holdfast.now_us();
    WITH held AS (
        UPDATE holdfast.turn_holds AS h SET ticket = NULL
        FROM unnest(saved) WITH ORDINALITY AS v
        WHERE h.tenant = v.tenant AND h.conversation = v.id AND h.token = tokens[v.ordinality]
          AND h.ticket IS NOT NULL AND h.until > now
        RETURNING v.ordinality::integer AS n
    )
    SELECT coalesce(array_agg(held.n), '{}') INTO freed FROM held;
    INSERT INTO holdfast.conversations
    SELECT v.tenant, v.id, v."user", v.definition, v.version, v.status, v.state, v.revision, v.turns, now, now,
           now + v.expires_at, CASE WHEN v.status <> 'open' THEN now END, v.handover, v.item, v.keep_us
    FROM unnest(freed) AS n CROSS JOIN LATERAL unnest(saved[n:n]) AS v WHERE v.revision = 1
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS written = ROW_COUNT;
    UPDATE holdfast.conversations AS c SET
        definition = v.definition, version = v.version, status = v.status, state = v.state, revision = v.revision,
        turns = v.turns, changed_at = now, expires_at = now + v.expires_at,
        ended_at = CASE WHEN v.status <> 'open' THEN now END, handover = v.handover, item = v.item, keep_us = v.keep_us
    FROM unnest(freed) AS n CROSS JOIN LATERAL unnest(saved[n:n]) AS v
    WHERE v.revision > 1 AND c.tenant = v.tenant AND c.id = v.id AND c.revision = v.revision - 1;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF written + changed < cardinality(freed) THEN
        RAISE 'a conversation is not at the revision below the one that is saved'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO holdfast.turns
    SELECT t.tenant, t.conversation, t.number, t.id, t.fingerprint, t.actor, t.message, t.response, t.text, t.change,
           t.model, t.input_tokens, t.output_tokens, t.cost, t.waited_us, t.model_us, t.took_us, now
    FROM unnest(freed) AS n CROSS JOIN LATERAL unnest(ended[n:n]) AS t WHERE t.tenant IS NOT NULL;
    RETURN QUERY SELECT n - 1 FROM unnest(freed) AS n;
END
$$;

-- Who sees which rows. Row-level security holds for the owner of the tables too; superusers are above it.
--
-- The engine sees every row: that is the owner, by the policy `owner`, and the members of the role
-- holdfast_engine, by a policy that is made when there is such a role (see sql/roles.sql). Each is the constant
-- true, and is gone from a statement when it is planned. Everybody else who may read a table at all, above all the
-- role holdfast_reader, sees the rows of the tenant that the transaction has named, and may change none.

CREATE FUNCTION holdfast.tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('holdfast.tenant', true), '')
$$;

ALTER TABLE holdfast.runs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.runs TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.runs FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.lanes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.lanes TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.lanes FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.topics ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.topics TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.topics FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.deadlines ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.deadlines TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.deadlines FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.attributes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.attributes TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.attributes FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.troubled ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.troubled TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.troubled FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.schedules ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.schedules TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.schedules FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.users TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.users FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.keys TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.keys FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.sessions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.sessions TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.sessions FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.audit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.audit TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.audit FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.replies ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.replies TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.replies FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.views ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.views TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.views FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.tallies ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.tallies TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.tallies FOR SELECT USING (tenant = holdfast.tenant());

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

ALTER TABLE holdfast.conversations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.conversations TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.conversations FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.turns ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.turns TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.turns FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.turn_holds ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.turn_holds TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.turn_holds FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.turn_line ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.turn_line TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.turn_line FOR SELECT USING (tenant = holdfast.tenant());

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

ALTER TABLE holdfast.graph_checkpoints ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.graph_checkpoints TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.graph_checkpoints FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.graph_values ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.graph_values TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.graph_values FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.graph_writes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.graph_writes TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.graph_writes FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.graph_items ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.graph_items TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.graph_items FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.messages ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.messages TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.messages FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.message_lines ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.message_lines TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.message_lines FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.message_places ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.message_places TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.message_places FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.message_attempts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.message_attempts TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.message_attempts FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.publish_settings ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.publish_settings TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.publish_settings FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.diversions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.diversions TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.diversions FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.gathers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.gathers TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.gathers FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

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

-- What belongs to a run is the run's tenant's. Not EXISTS: the planner might read all runs for it, once.

ALTER TABLE holdfast.ready ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.ready TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.ready FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

ALTER TABLE holdfast.running ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.running TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.running FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

ALTER TABLE holdfast.parked ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.parked TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.parked FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

ALTER TABLE holdfast.journal ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.journal TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.journal FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

ALTER TABLE holdfast.attempts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.attempts TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.attempts FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

ALTER TABLE holdfast.members ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.members TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.members FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

ALTER TABLE holdfast.waits ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.waits TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.waits FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

ALTER TABLE holdfast.deliveries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.deliveries TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.deliveries FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

ALTER TABLE holdfast.chunks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.chunks TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.chunks FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

ALTER TABLE holdfast.progress ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.progress TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.progress FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

ALTER TABLE holdfast.events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.events TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.events FOR SELECT
    USING ((SELECT t.tenant FROM holdfast.topics AS t WHERE t.id = topic) = holdfast.tenant());

ALTER TABLE holdfast.blobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.blobs TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.blobs FOR SELECT
    USING (EXISTS (SELECT FROM holdfast.blob_uses AS u WHERE u.blob = id));

ALTER TABLE holdfast.blob_parts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.blob_parts TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.blob_parts FOR SELECT
    USING (EXISTS (SELECT FROM holdfast.blob_uses AS u WHERE u.blob = blob_parts.blob));

-- Nobody but the engine looks at these.
ALTER TABLE holdfast.failures ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.failures TO CURRENT_USER USING (true);

ALTER TABLE holdfast.rates ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.rates TO CURRENT_USER USING (true);

ALTER TABLE holdfast.start_limits ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.start_limits TO CURRENT_USER USING (true);

ALTER TABLE holdfast.duties ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.duties TO CURRENT_USER USING (true);

ALTER TABLE holdfast.queue_weights ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.queue_weights TO CURRENT_USER USING (true);

ALTER TABLE holdfast.lost_workers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.lost_workers TO CURRENT_USER USING (true);

ALTER TABLE holdfast.blob_uses ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.blob_uses TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.blob_uses FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

ALTER TABLE holdfast.message_queue ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.message_queue TO CURRENT_USER USING (true);

ALTER TABLE holdfast.message_sends ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.message_sends TO CURRENT_USER USING (true);
