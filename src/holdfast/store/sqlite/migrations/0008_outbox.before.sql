-- The outbox: messages, who sends them now, and who may.

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
