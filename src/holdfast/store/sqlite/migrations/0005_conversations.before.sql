-- Conversations: their state, their turns, and who has one or waits for it.

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
