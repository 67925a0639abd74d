-- The outbox: messages, who sends them now, and who may.

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

CREATE TYPE holdfast.message_row AS (
    uid bytea, tenant text, id text, channel text, key text, status text, verdict text, reason text, workflow text,
    run bytea, run_id text, "position" bytea, generation integer, due_at bigint, created_at bigint, ended_at bigint,
    body bytea, body_digest bytea, text_digest bytea
);
CREATE TYPE holdfast.message_ending_row AS (
    uid bytea, claim_id bytea, status text, outcome text, detail text, retry_at bigint, doubt boolean, began_at bigint,
    ended_at bigint
);

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

-- Nobody but the engine looks at these.
ALTER TABLE holdfast.message_queue ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.message_queue TO CURRENT_USER USING (true);

ALTER TABLE holdfast.message_sends ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.message_sends TO CURRENT_USER USING (true);
