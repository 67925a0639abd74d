-- Streams of what runs produce while they execute.

CREATE TABLE chunks (                                     -- what runs write to their streams
    run BLOB NOT NULL,
    stream TEXT NOT NULL,
    ordinal INTEGER NOT NULL,                             -- the offset
    kind TEXT NOT NULL CHECK (kind IN ('data', 'reset', 'end')),
    at INTEGER NOT NULL,
    writer BLOB NOT NULL,                                 -- which code of the run
    generation INTEGER NOT NULL,
    seq INTEGER NOT NULL,                                 -- the run's highest when it was written
    data BLOB NOT NULL,
    PRIMARY KEY (run, stream, ordinal)
) WITHOUT ROWID;
