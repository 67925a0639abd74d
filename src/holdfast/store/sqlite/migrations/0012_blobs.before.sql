-- Values that are too large to stand where they belong.

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
