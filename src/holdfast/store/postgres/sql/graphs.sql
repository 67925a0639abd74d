-- LangGraph's graphs: their checkpoints, and the items of its store.
--
-- Guarantees: a checkpoint is kept with the values that it is the first to have, or not at all; a value of a version,
-- and a write of a task, are written once.
-- Locks: the rows that are written, those of items in order of namespace and key. What is pruned while a graph goes on
-- from a checkpoint that is not the latest may take a value from it.
-- Each write of a graph that runs is one statement. Unlike SQLite, a checkpoint comes with its values and writes in one
-- row, so that all of it is of one moment.

-- name: put_checkpoint
WITH new AS (
    INSERT INTO holdfast.graph_values (tenant, thread, namespace, channel, version, coding, content)
    SELECT $1, $2, $3, v.channel, v.version, v.coding, v.content
    FROM unnest($11::text[], $12::text[], $13::text[], $14::bytea[]) AS v (channel, version, coding, content)
    ORDER BY v.channel, v.version
    ON CONFLICT DO NOTHING
)
INSERT INTO holdfast.graph_checkpoints (
    tenant, thread, namespace, id, parent, run, coding, document, versions, facts
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (tenant, thread, namespace, id) DO UPDATE SET
    parent = EXCLUDED.parent, run = EXCLUDED.run, coding = EXCLUDED.coding, document = EXCLUDED.document,
    versions = EXCLUDED.versions, facts = EXCLUDED.facts

-- name: put_writes
INSERT INTO holdfast.graph_writes AS w (
    tenant, thread, namespace, checkpoint, task, number, path, channel, coding, content
)
SELECT $1, $2, $3, $4, v.*
FROM unnest($5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::bytea[])
    AS v (task, number, path, channel, coding, content)
ORDER BY v.task, v.number
ON CONFLICT (tenant, thread, namespace, checkpoint, task, number) DO UPDATE SET
    path = EXCLUDED.path, channel = EXCLUDED.channel, coding = EXCLUDED.coding, content = EXCLUDED.content
WHERE w.number < 0

-- Checkpoints by thread, namespace and id; where the id is NULL, the latest.
-- name: checkpoints
SELECT c.tenant, c.thread, c.namespace, c.id, c.parent, c.coding, c.document, v.channels, v.codings, v.contents,
       w.tasks, w.numbers, w.paths, w.channels, w.codings, w.contents
FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS k (thread, namespace, id, n)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.graph_checkpoints AS c
    WHERE c.tenant = $1 AND c.thread = k.thread AND c.namespace = k.namespace
      AND c.id >= coalesce(k.id, '') AND c.id <= coalesce(k.id, $5) ORDER BY c.id DESC LIMIT 1
) AS c
CROSS JOIN LATERAL (
    SELECT array_agg(v.channel) AS channels, array_agg(v.coding) AS codings, array_agg(v.content) AS contents
    FROM jsonb_each_text(c.versions) AS e (channel, version)
    CROSS JOIN LATERAL (
        SELECT * FROM holdfast.graph_values AS v
        WHERE v.tenant = c.tenant AND v.thread = c.thread AND v.namespace = c.namespace
          AND v.channel = e.channel AND v.version = e.version OFFSET 0
    ) AS v
) AS v
CROSS JOIN LATERAL (
    SELECT array_agg(w.task) AS tasks, array_agg(w.number) AS numbers, array_agg(w.path) AS paths,
           array_agg(w.channel) AS channels, array_agg(w.coding) AS codings, array_agg(w.content) AS contents
    FROM (
        SELECT * FROM holdfast.graph_writes AS w
        WHERE w.tenant = c.tenant AND w.thread = c.thread AND w.namespace = c.namespace AND w.checkpoint = c.id
        ORDER BY w.path, w.task, w.number
    ) AS w
) AS w
ORDER BY k.n

-- name: in_namespace
SELECT c.thread, c.namespace, c.id FROM holdfast.graph_checkpoints AS c
WHERE c.tenant = $1 AND c.thread = $6 AND c.namespace = $7 AND c.id < $5 AND ($2::text IS NULL OR c.id = $2)
  AND NOT EXISTS (
      SELECT FROM jsonb_each($3) AS f (key, value) WHERE c.facts -> f.key IS DISTINCT FROM f.value
  )
ORDER BY c.id DESC LIMIT $4

-- name: in_thread
SELECT c.thread, c.namespace, c.id FROM holdfast.graph_checkpoints AS c
WHERE c.tenant = $1 AND c.thread = $6 AND (c.id, c.namespace) < ($5, $7) AND ($2::text IS NULL OR c.id = $2)
  AND NOT EXISTS (
      SELECT FROM jsonb_each($3) AS f (key, value) WHERE c.facts -> f.key IS DISTINCT FROM f.value
  )
ORDER BY c.id DESC, c.namespace DESC LIMIT $4

-- name: in_tenant
SELECT c.thread, c.namespace, c.id FROM holdfast.graph_checkpoints AS c
WHERE c.tenant = $1 AND (c.id, c.thread, c.namespace) < ($5, $6, $7) AND ($2::text IS NULL OR c.id = $2)
  AND NOT EXISTS (
      SELECT FROM jsonb_each($3) AS f (key, value) WHERE c.facts -> f.key IS DISTINCT FROM f.value
  )
ORDER BY c.id DESC, c.thread DESC, c.namespace DESC LIMIT $4

-- name: ancestors
SELECT a.id, a.parent, v.channels, v.codings, v.contents, w.tasks, w.numbers, w.paths, w.channels, w.codings, w.contents
FROM (
    WITH RECURSIVE chain (id, parent, versions, n) AS (
        SELECT c.id, c.parent, c.versions, 1 FROM holdfast.graph_checkpoints AS c
        WHERE c.tenant = $1 AND c.thread = $2 AND c.namespace = $3 AND c.id = $4
        UNION ALL
        SELECT c.id, c.parent, c.versions, chain.n + 1 FROM chain CROSS JOIN LATERAL (
            SELECT * FROM holdfast.graph_checkpoints AS c
            WHERE c.tenant = $1 AND c.thread = $2 AND c.namespace = $3 AND c.id = chain.parent OFFSET 0
        ) AS c
        WHERE chain.n < $6
    )
    SELECT id, parent, versions, n FROM chain
) AS a
CROSS JOIN LATERAL (
    SELECT array_agg(v.channel) AS channels, array_agg(v.coding) AS codings, array_agg(v.content) AS contents
    FROM unnest($5::text[]) AS e (channel)
    CROSS JOIN LATERAL (
        SELECT * FROM holdfast.graph_values AS v
        WHERE v.tenant = $1 AND v.thread = $2 AND v.namespace = $3
          AND v.channel = e.channel AND v.version = a.versions ->> e.channel OFFSET 0
    ) AS v
) AS v
CROSS JOIN LATERAL (
    SELECT array_agg(w.task) AS tasks, array_agg(w.number) AS numbers, array_agg(w.path) AS paths,
           array_agg(w.channel) AS channels, array_agg(w.coding) AS codings, array_agg(w.content) AS contents
    FROM (
        SELECT * FROM holdfast.graph_writes AS w
        WHERE w.tenant = $1 AND w.thread = $2 AND w.namespace = $3 AND w.checkpoint = a.id AND w.channel = ANY ($5)
        ORDER BY w.path, w.task, w.number
    ) AS w
) AS w
ORDER BY a.n

-- name: copy_checkpoints
INSERT INTO holdfast.graph_checkpoints (
    tenant, thread, namespace, id, parent, run, coding, document, versions, facts
)
SELECT tenant, $3, namespace, id, parent, run, coding, document, versions, facts
FROM holdfast.graph_checkpoints WHERE tenant = $1 AND thread = $2 ORDER BY namespace, id ON CONFLICT DO NOTHING

-- name: copy_values
INSERT INTO holdfast.graph_values (tenant, thread, namespace, channel, version, coding, content)
SELECT tenant, $3, namespace, channel, version, coding, content
FROM holdfast.graph_values WHERE tenant = $1 AND thread = $2 ORDER BY namespace, channel, version
ON CONFLICT DO NOTHING

-- name: copy_writes
INSERT INTO holdfast.graph_writes (
    tenant, thread, namespace, checkpoint, task, number, path, channel, coding, content
)
SELECT tenant, $3, namespace, checkpoint, task, number, path, channel, coding, content
FROM holdfast.graph_writes WHERE tenant = $1 AND thread = $2 ORDER BY namespace, checkpoint, task, number
ON CONFLICT DO NOTHING

-- name: delete_checkpoints
DELETE FROM holdfast.graph_checkpoints WHERE tenant = $1 AND thread = ANY ($2)

-- name: delete_values
DELETE FROM holdfast.graph_values WHERE tenant = $1 AND thread = ANY ($2)

-- name: delete_writes
DELETE FROM holdfast.graph_writes WHERE tenant = $1 AND thread = ANY ($2)

-- name: of_runs
SELECT thread, namespace, id FROM holdfast.graph_checkpoints WHERE tenant = $1 AND run = ANY ($2)

-- name: delete_checkpoint
DELETE FROM holdfast.graph_checkpoints WHERE ctid = ANY (ARRAY(
    SELECT c.place FROM unnest($2::text[], $3::text[], $4::text[]) AS k (thread, namespace, id)
    CROSS JOIN LATERAL (
        SELECT c.ctid AS place FROM holdfast.graph_checkpoints AS c
        WHERE c.tenant = $1 AND c.thread = k.thread AND c.namespace = k.namespace AND c.id = k.id FOR UPDATE
    ) AS c
))

-- name: delete_checkpoint_writes
DELETE FROM holdfast.graph_writes WHERE ctid = ANY (ARRAY(
    SELECT w.place FROM unnest($2::text[], $3::text[], $4::text[]) AS k (thread, namespace, id)
    CROSS JOIN LATERAL (
        SELECT w.ctid AS place FROM holdfast.graph_writes AS w
        WHERE w.tenant = $1 AND w.thread = k.thread AND w.namespace = k.namespace AND w.checkpoint = k.id FOR UPDATE
    ) AS w
))

-- NOT IN: it is hashed, whatever kinds of joins are allowed.
-- name: delete_unused_values
DELETE FROM holdfast.graph_values
WHERE tenant = $1 AND thread = ANY ($2) AND (thread, namespace, channel, version) NOT IN (
    SELECT c.thread, c.namespace, e.channel, e.version
    FROM holdfast.graph_checkpoints AS c CROSS JOIN LATERAL jsonb_each_text(c.versions) AS e (channel, version)
    WHERE c.tenant = $1 AND c.thread = ANY ($2)
)

-- Of a thread the latest checkpoint in each namespace, and those that it is rebuilt from: a channel that keeps
-- differences has a value now and then only, and LangGraph counts in the metadata since when. Up to there the ancestors
-- are needed; "open" are the channels that have no value yet.
-- name: needed
SELECT namespace, id FROM (
    WITH RECURSIVE needed (namespace, id, parent, open) AS (
        SELECT c.namespace, c.id, c.parent, ARRAY(
            SELECT k.channel FROM jsonb_object_keys(
                CASE jsonb_typeof(c.facts -> 'counters_since_delta_snapshot')
                    WHEN 'object' THEN c.facts -> 'counters_since_delta_snapshot' ELSE '{}'
                END
            ) AS k (channel)
            WHERE NOT EXISTS (
                SELECT FROM holdfast.graph_values AS v
                WHERE v.tenant = $1 AND v.thread = $2 AND v.namespace = c.namespace AND v.channel = k.channel
                  AND v.version = c.versions ->> k.channel
            )
        )
        FROM (
            SELECT DISTINCT ON (namespace) namespace, id, parent, versions, facts FROM holdfast.graph_checkpoints
            WHERE tenant = $1 AND thread = $2 ORDER BY namespace DESC, id DESC
        ) AS c
        UNION
        SELECT c.namespace, c.id, c.parent, ARRAY(
            SELECT k.channel FROM unnest(needed.open) AS k (channel)
            WHERE NOT EXISTS (
                SELECT FROM holdfast.graph_values AS v
                WHERE v.tenant = $1 AND v.thread = $2 AND v.namespace = c.namespace AND v.channel = k.channel
                  AND v.version = c.versions ->> k.channel
            )
        )
        FROM needed CROSS JOIN LATERAL (
            SELECT * FROM holdfast.graph_checkpoints AS c
            WHERE c.tenant = $1 AND c.thread = $2 AND c.namespace = needed.namespace AND c.id = needed.parent OFFSET 0
        ) AS c
        WHERE needed.open <> '{}'
    )
    SELECT namespace, id FROM needed
) AS n

-- Writes whose checkpoint is still to come stay; so does what was put after it was looked at what is needed.
-- name: prune_writes
DELETE FROM holdfast.graph_writes AS w
WHERE w.tenant = $1 AND w.thread = $2 AND w.namespace = $3 AND w.checkpoint < $4 AND w.checkpoint <> ALL ($5)
  AND EXISTS (
      SELECT FROM holdfast.graph_checkpoints AS c
      WHERE c.tenant = $1 AND c.thread = $2 AND c.namespace = $3 AND c.id = w.checkpoint
  )

-- name: prune_checkpoints
DELETE FROM holdfast.graph_checkpoints
WHERE tenant = $1 AND thread = $2 AND namespace = $3 AND id < $4 AND id <> ALL ($5)

-- One that has expired is as if it were not there.
-- name: put_items
INSERT INTO holdfast.graph_items AS i (tenant, namespace, key, value, created_at, updated_at, ttl_us, expires_at)
SELECT $1, v.namespace, v.key, v.value, c.now, c.now, v.ttl_us, c.now + v.ttl_us
FROM unnest($2::text[], $3::text[], $4::bytea[], $5::bigint[]) AS v (namespace, key, value, ttl_us)
CROSS JOIN (SELECT holdfast.now_us() AS now OFFSET 0) AS c
ORDER BY v.namespace, v.key
ON CONFLICT (tenant, namespace, key) DO UPDATE SET
    created_at = CASE WHEN i.expires_at <= EXCLUDED.updated_at THEN EXCLUDED.created_at ELSE i.created_at END,
    value = EXCLUDED.value, updated_at = EXCLUDED.updated_at, ttl_us = EXCLUDED.ttl_us,
    expires_at = EXCLUDED.expires_at

-- name: lock_items
SELECT FROM unnest($2::text[], $3::text[]) AS k (namespace, key)
CROSS JOIN LATERAL (
    SELECT FROM holdfast.graph_items AS i
    WHERE i.tenant = $1 AND i.namespace = k.namespace AND i.key = k.key FOR UPDATE
) AS i

-- name: delete_items
DELETE FROM holdfast.graph_items WHERE ctid = ANY (ARRAY(
    SELECT i.place FROM unnest($2::text[], $3::text[]) AS k (namespace, key)
    CROSS JOIN LATERAL (
        SELECT i.ctid AS place FROM holdfast.graph_items AS i
        WHERE i.tenant = $1 AND i.namespace = k.namespace AND i.key = k.key FOR UPDATE
    ) AS i
))

-- name: delete_expired
DELETE FROM holdfast.graph_items WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM holdfast.graph_items
    WHERE tenant = $1 AND expires_at <= (SELECT holdfast.now_us()) ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
))

-- name: items
SELECT k.n::integer - 1, i.namespace, i.key, i.value, i.created_at, i.updated_at, i.ttl_us
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS k (namespace, key, n)
CROSS JOIN LATERAL (
    SELECT * FROM holdfast.graph_items AS i
    WHERE i.tenant = $1 AND i.namespace = k.namespace AND i.key = k.key
      AND (i.expires_at IS NULL OR i.expires_at > (SELECT holdfast.now_us())) OFFSET 0
) AS i

-- Read bit by bit: whether there are enough is known by whoever looks at the values.
-- name: find_items
DECLARE found NO SCROLL CURSOR FOR
SELECT namespace, key, value, created_at, updated_at, ttl_us FROM holdfast.graph_items
WHERE tenant = $1 AND namespace >= $2 AND namespace < $3
  AND (expires_at IS NULL OR expires_at > (SELECT holdfast.now_us()))
ORDER BY updated_at DESC, namespace, key

-- name: next_items
FETCH 100 FROM found

-- coalesce: the index of expiries, in which the planner would look through all of the tenant's, is of no use to it.
-- name: renew_items
UPDATE holdfast.graph_items SET expires_at = (SELECT holdfast.now_us()) + ttl_us
WHERE ctid = ANY (ARRAY(
    SELECT i.place FROM unnest($2::text[], $3::text[]) AS k (namespace, key)
    CROSS JOIN LATERAL (
        SELECT i.ctid AS place FROM holdfast.graph_items AS i
        WHERE i.tenant = $1 AND i.namespace = k.namespace AND i.key = k.key
          AND coalesce(i.expires_at, 0) > holdfast.now_us()
        FOR UPDATE
    ) AS i
))

-- From each namespace straight to the next one, however many items it has.
-- name: namespaces
WITH RECURSIVE found (namespace) AS (
    SELECT min(i.namespace) FROM holdfast.graph_items AS i
    WHERE i.tenant = $1 AND i.namespace >= $2 AND i.namespace < $3
      AND (i.expires_at IS NULL OR i.expires_at > (SELECT holdfast.now_us()))
    UNION ALL
    SELECT (
        SELECT min(i.namespace) FROM holdfast.graph_items AS i
        WHERE i.tenant = $1 AND i.namespace > found.namespace AND i.namespace < $3
          AND (i.expires_at IS NULL OR i.expires_at > (SELECT holdfast.now_us()))
    ) FROM found WHERE found.namespace IS NOT NULL
), page AS (
    SELECT namespace FROM found LIMIT $4
)
SELECT namespace FROM page WHERE namespace IS NOT NULL
