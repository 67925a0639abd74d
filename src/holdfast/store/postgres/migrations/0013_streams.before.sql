-- Streams of what runs produce while they execute.

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

CREATE TYPE holdfast.chunk_row AS (
    run bytea, epoch bigint, stream text, ordinal bigint, kind text, data bytea, at bigint, writer bytea,
    generation integer, seq bigint
);

ALTER TABLE holdfast.chunks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.chunks TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.chunks FOR SELECT
    USING ((SELECT r.tenant FROM holdfast.runs AS r WHERE r.uid = run) = holdfast.tenant());
