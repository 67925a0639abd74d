-- People, keys, sessions, changes, answers, saved views, tallies; what workers say of themselves.

ALTER TABLE workers ADD COLUMN slots INTEGER;
ALTER TABLE workers ADD COLUMN memory_bytes INTEGER;
ALTER TABLE workers ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;

CREATE INDEX runs_tenant ON runs (tenant, uid);

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
