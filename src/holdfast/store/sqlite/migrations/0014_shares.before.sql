-- Shares of tenants and keys in a queue: limits to each, and what they weigh.

ALTER TABLE queues ADD COLUMN per_key INTEGER;            -- how many runs of one share may execute at once

CREATE TABLE queue_weights (                              -- how much a share takes in its turn, where that is not one
    queue TEXT NOT NULL,
    share TEXT NOT NULL,                                  -- a tenant, or tenant/key
    weight INTEGER NOT NULL,
    PRIMARY KEY (queue, share)
) WITHOUT ROWID;
