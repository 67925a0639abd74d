-- Workers that were lost, for alerts.

CREATE TABLE lost_workers (                               -- whose lease ended, and that did not sign off
    id BLOB PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    at INTEGER NOT NULL                                   -- when the lease ended
) WITHOUT ROWID;
CREATE INDEX lost_workers_at ON lost_workers (at);
