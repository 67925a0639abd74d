-- LangGraph's graphs: their checkpoints, and the items of its store.
--
-- Guarantees: a checkpoint is kept with the values that it is the first to have, or not at all; a value of a version,
-- and a write of a task, are written once.
-- No statement begins with WITH: the tables of a tenant's policy stand before it. JSON is sorted and has no spaces, so
-- that what is inside it is compared as text.

-- name: put_checkpoint
INSERT INTO graph_checkpoints (tenant, thread, namespace, id, parent, run, coding, document, versions, facts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, thread, namespace, id) DO UPDATE SET
    parent = excluded.parent, run = excluded.run, coding = excluded.coding, document = excluded.document,
    versions = excluded.versions, facts = excluded.facts

-- name: put_value
INSERT INTO graph_values (tenant, thread, namespace, channel, version, coding, content)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: put_write
INSERT INTO graph_writes (tenant, thread, namespace, checkpoint, task, number, path, channel, coding, content)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, thread, namespace, checkpoint, task, number) DO UPDATE SET
    path = excluded.path, channel = excluded.channel, coding = excluded.coding, content = excluded.content
WHERE number < 0

-- name: checkpoint
SELECT tenant, thread, namespace, id, parent, coding, document, versions
FROM graph_checkpoints WHERE tenant = ? AND thread = ? AND namespace = ? AND id = ?

-- name: latest
SELECT tenant, thread, namespace, id, parent, coding, document, versions
FROM graph_checkpoints WHERE tenant = ? AND thread = ? AND namespace = ? ORDER BY id DESC LIMIT 1

-- name: in_namespace
SELECT c.tenant, c.thread, c.namespace, c.id, c.parent, c.coding, c.document, c.versions
FROM graph_checkpoints AS c
WHERE c.tenant = :tenant AND c.thread = :thread AND c.namespace = :namespace AND c.id < :before
  AND (:id IS NULL OR c.id = :id)
  AND NOT EXISTS (
      SELECT 1 FROM json_each(:facts) AS f WHERE NOT EXISTS (
          SELECT 1 FROM json_each(c.facts) AS k WHERE k.key = f.key AND k.value IS f.value
             AND (k.type = f.type OR k.type IN ('integer', 'real') AND f.type IN ('integer', 'real'))
      )
  )
ORDER BY c.id DESC LIMIT :limit

-- name: in_thread
SELECT c.tenant, c.thread, c.namespace, c.id, c.parent, c.coding, c.document, c.versions
FROM graph_checkpoints AS c
WHERE c.tenant = :tenant AND c.thread = :thread
  AND (c.id, c.namespace) < (:before, :before_namespace)
  AND (:id IS NULL OR c.id = :id)
  AND NOT EXISTS (
      SELECT 1 FROM json_each(:facts) AS f WHERE NOT EXISTS (
          SELECT 1 FROM json_each(c.facts) AS k WHERE k.key = f.key AND k.value IS f.value
             AND (k.type = f.type OR k.type IN ('integer', 'real') AND f.type IN ('integer', 'real'))
      )
  )
ORDER BY c.id DESC, c.namespace DESC LIMIT :limit

-- name: in_tenant
SELECT c.tenant, c.thread, c.namespace, c.id, c.parent, c.coding, c.document, c.versions
FROM graph_checkpoints AS c
WHERE c.tenant = :tenant
  AND (c.id, c.thread, c.namespace) < (:before, :before_thread, :before_namespace)
  AND (:id IS NULL OR c.id = :id)
  AND NOT EXISTS (
      SELECT 1 FROM json_each(:facts) AS f WHERE NOT EXISTS (
          SELECT 1 FROM json_each(c.facts) AS k WHERE k.key = f.key AND k.value IS f.value
             AND (k.type = f.type OR k.type IN ('integer', 'real') AND f.type IN ('integer', 'real'))
      )
  )
ORDER BY c.id DESC, c.thread DESC, c.namespace DESC LIMIT :limit

-- CROSS JOIN: from each version to its value, and not through all the values that the thread ever had.
-- name: values
SELECT v.channel, v.coding, v.content
FROM json_each(?4) AS e
CROSS JOIN graph_values AS v
  ON v.tenant = ?1 AND v.thread = ?2 AND v.namespace = ?3 AND v.channel = e.key AND v.version = e.value

-- name: writes
SELECT task, number, path, channel, coding, content
FROM graph_writes WHERE tenant = ? AND thread = ? AND namespace = ? AND checkpoint = ? ORDER BY path, task, number

-- name: lineage
SELECT id, parent, versions FROM (
    WITH RECURSIVE chain (id, parent, versions, n) AS (
        SELECT id, parent, versions, 1 FROM graph_checkpoints
        WHERE tenant = :tenant AND thread = :thread AND namespace = :namespace AND id = :id
        UNION ALL
        SELECT c.id, c.parent, c.versions, chain.n + 1 FROM chain JOIN graph_checkpoints AS c
            ON c.tenant = :tenant AND c.thread = :thread AND c.namespace = :namespace AND c.id = chain.parent
        WHERE chain.n < :limit
    )
    SELECT id, parent, versions, n FROM chain
) ORDER BY n

-- name: copy_checkpoints
INSERT INTO graph_checkpoints (tenant, thread, namespace, id, parent, run, coding, document, versions, facts)
SELECT tenant, ?3, namespace, id, parent, run, coding, document, versions, facts
FROM graph_checkpoints WHERE tenant = ?1 AND thread = ?2 ON CONFLICT DO NOTHING

-- name: copy_values
INSERT INTO graph_values (tenant, thread, namespace, channel, version, coding, content)
SELECT tenant, ?3, namespace, channel, version, coding, content
FROM graph_values WHERE tenant = ?1 AND thread = ?2 ON CONFLICT DO NOTHING

-- name: copy_writes
INSERT INTO graph_writes (tenant, thread, namespace, checkpoint, task, number, path, channel, coding, content)
SELECT tenant, ?3, namespace, checkpoint, task, number, path, channel, coding, content
FROM graph_writes WHERE tenant = ?1 AND thread = ?2 ON CONFLICT DO NOTHING

-- name: delete_checkpoints
DELETE FROM graph_checkpoints WHERE tenant = ? AND thread = ?

-- name: delete_values
DELETE FROM graph_values WHERE tenant = ? AND thread = ?

-- name: delete_writes
DELETE FROM graph_writes WHERE tenant = ? AND thread = ?

-- name: of_run
SELECT thread, namespace, id FROM graph_checkpoints WHERE tenant = ? AND run = ?

-- name: delete_checkpoint
DELETE FROM graph_checkpoints WHERE tenant = ? AND thread = ? AND namespace = ? AND id = ?

-- name: delete_checkpoint_writes
DELETE FROM graph_writes WHERE tenant = ? AND thread = ? AND namespace = ? AND checkpoint = ?

-- name: delete_unused_values
DELETE FROM graph_values
WHERE tenant = ?1 AND thread = ?2 AND (namespace, channel, version) NOT IN (
    SELECT c.namespace, e.key, e.value FROM graph_checkpoints AS c, json_each(c.versions) AS e
    WHERE c.tenant = ?1 AND c.thread = ?2
)

-- Of a thread the latest checkpoint in each namespace, and those that it is rebuilt from: a channel that keeps
-- differences has a value now and then only, and LangGraph counts in the metadata since when. Up to there the ancestors
-- are needed; "open" are the channels that have no value yet.
-- name: needed
SELECT namespace, id FROM (
    WITH RECURSIVE needed (namespace, id, parent, open) AS (
        SELECT latest.namespace, latest.id, latest.parent, (
            SELECT json_group_array(k.key) FROM json_each(latest.facts, '$.counters_since_delta_snapshot') AS k
            WHERE k.key IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM graph_values AS v
                WHERE v.tenant = ?1 AND v.thread = ?2 AND v.namespace = latest.namespace AND v.channel = k.key
                  AND v.version = (SELECT e.value FROM json_each(latest.versions) AS e WHERE e.key = k.key)
            )
        )
        FROM (
            SELECT namespace, max(id) AS id, parent, versions, facts FROM graph_checkpoints
            WHERE tenant = ?1 AND thread = ?2 GROUP BY namespace
        ) AS latest
        UNION
        SELECT c.namespace, c.id, c.parent, (
            SELECT json_group_array(k.value) FROM json_each(needed.open) AS k
            WHERE NOT EXISTS (
                SELECT 1 FROM graph_values AS v
                WHERE v.tenant = ?1 AND v.thread = ?2 AND v.namespace = c.namespace AND v.channel = k.value
                  AND v.version = (SELECT e.value FROM json_each(c.versions) AS e WHERE e.key = k.value)
            )
        )
        FROM needed JOIN graph_checkpoints AS c
            ON c.tenant = ?1 AND c.thread = ?2 AND c.namespace = needed.namespace AND c.id = needed.parent
        WHERE needed.open <> '[]'
    )
    SELECT namespace, id FROM needed
)

-- Writes whose checkpoint is still to come stay.
-- name: prune_writes
DELETE FROM graph_writes
WHERE tenant = ?1 AND thread = ?2 AND namespace = ?3 AND checkpoint < ?4
  AND checkpoint NOT IN (SELECT value FROM json_each(?5))
  AND EXISTS (
      SELECT 1 FROM graph_checkpoints AS c
      WHERE c.tenant = ?1 AND c.thread = ?2 AND c.namespace = ?3 AND c.id = graph_writes.checkpoint
  )

-- name: prune_checkpoints
DELETE FROM graph_checkpoints
WHERE tenant = ?1 AND thread = ?2 AND namespace = ?3 AND id < ?4 AND id NOT IN (SELECT value FROM json_each(?5))

-- name: now
SELECT holdfast_now_us()

-- One that has expired is as if it were not there.
-- name: put_item
INSERT INTO graph_items (tenant, namespace, key, value, created_at, updated_at, ttl_us, expires_at)
VALUES (?1, ?2, ?3, ?4, ?6, ?6, ?5, ?6 + ?5)
ON CONFLICT (tenant, namespace, key) DO UPDATE SET
    created_at = CASE WHEN expires_at <= excluded.updated_at THEN excluded.created_at ELSE created_at END,
    value = excluded.value, updated_at = excluded.updated_at, ttl_us = excluded.ttl_us,
    expires_at = excluded.expires_at

-- name: delete_item
DELETE FROM graph_items WHERE tenant = ? AND namespace = ? AND key = ?

-- name: delete_expired
DELETE FROM graph_items WHERE rowid IN (
    SELECT rowid FROM graph_items WHERE tenant = ? AND expires_at <= holdfast_now_us() ORDER BY expires_at LIMIT ?
)

-- name: item
SELECT namespace, key, value, created_at, updated_at, ttl_us FROM graph_items
WHERE tenant = ? AND namespace = ? AND key = ? AND (expires_at IS NULL OR expires_at > holdfast_now_us())

-- name: find_items
SELECT namespace, key, value, created_at, updated_at, ttl_us FROM graph_items
WHERE tenant = ? AND namespace >= ? AND namespace < ? AND (expires_at IS NULL OR expires_at > holdfast_now_us())
ORDER BY updated_at DESC, namespace, key

-- name: renew_item
UPDATE graph_items SET expires_at = holdfast_now_us() + ttl_us
WHERE tenant = ? AND namespace = ? AND key = ? AND expires_at > holdfast_now_us()

-- From each namespace straight to the next one, however many items it has.
-- name: namespaces
SELECT namespace FROM (
    WITH RECURSIVE found (namespace) AS (
        SELECT min(namespace) FROM graph_items
        WHERE tenant = :tenant AND namespace >= :first AND namespace < :before
          AND (expires_at IS NULL OR expires_at > holdfast_now_us())
        UNION ALL
        SELECT (
            SELECT min(i.namespace) FROM graph_items AS i
            WHERE i.tenant = :tenant AND i.namespace > found.namespace AND i.namespace < :before
              AND (i.expires_at IS NULL OR i.expires_at > holdfast_now_us())
        ) FROM found WHERE found.namespace IS NOT NULL
    )
    SELECT namespace FROM found LIMIT :limit
) WHERE namespace IS NOT NULL
