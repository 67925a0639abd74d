-- Values that are too large to stand where they belong.

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

ALTER TABLE holdfast.blobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.blobs TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.blobs FOR SELECT
    USING (EXISTS (SELECT FROM holdfast.blob_uses AS u WHERE u.blob = id));

ALTER TABLE holdfast.blob_parts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.blob_parts TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.blob_parts FOR SELECT
    USING (EXISTS (SELECT FROM holdfast.blob_uses AS u WHERE u.blob = blob_parts.blob));

ALTER TABLE holdfast.blob_uses ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.blob_uses TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.blob_uses FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());
