-- People, keys, sessions, changes, answers, saved views, tallies; what workers say of themselves.

ALTER TABLE holdfast.workers DROP COLUMN claim_id;
ALTER TABLE holdfast.workers ADD COLUMN slots bigint;
ALTER TABLE holdfast.workers ADD COLUMN memory_bytes bigint;
ALTER TABLE holdfast.workers ADD COLUMN draining boolean NOT NULL DEFAULT false;

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

CREATE TYPE holdfast.audit_row AS (
    uid bytea, tenant text, actor text, action text, target text, detail bytea, at bigint
);
CREATE TYPE holdfast.tally_row AS (
    tenant text, span bigint, since bigint, workflow text, status text, process bytea, runs bigint, waited_us bigint,
    took_us bigint, waits bytea, tooks bytea
);

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

ALTER TABLE holdfast.progress ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.progress TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.progress FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());

ALTER TABLE holdfast.events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.events TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.events FOR SELECT
    USING ((SELECT t.tenant FROM holdfast.topics AS t WHERE t.id = topic) = holdfast.tenant());

-- Nobody but the engine looks at these.
ALTER TABLE holdfast.failures ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.failures TO CURRENT_USER USING (true);
