-- Shares of tenants and keys in a queue: limits to each, and what they weigh.

ALTER TABLE holdfast.queues ADD COLUMN per_key bigint;    -- how many runs of one share may execute at once

CREATE TABLE holdfast.queue_weights (                     -- how much a share takes in its turn, where that is not one
    queue text COLLATE "C" NOT NULL,
    share text COLLATE "C" NOT NULL,                      -- a tenant, or tenant/key
    weight bigint NOT NULL,
    PRIMARY KEY (queue, share)
);

-- Nobody but the engine looks at it.
ALTER TABLE holdfast.queue_weights ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.queue_weights TO CURRENT_USER USING (true);
