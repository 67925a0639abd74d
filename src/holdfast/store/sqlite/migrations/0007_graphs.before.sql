-- LangGraph's graphs: their checkpoints, and the items of its store.

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
