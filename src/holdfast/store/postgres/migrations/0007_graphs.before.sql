-- LangGraph's graphs: their checkpoints, and the items of its store.

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
