-- Workers that were lost, for alerts.

CREATE TABLE holdfast.lost_workers (                      -- whose lease ended, and that did not sign off
    id bytea PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    at bigint NOT NULL                                    -- when the lease ended
);
CREATE INDEX lost_workers_at ON holdfast.lost_workers (at);

-- Nobody but the engine looks at it.
ALTER TABLE holdfast.lost_workers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.lost_workers TO CURRENT_USER USING (true);
