-- What our runs and another path made of the same messages, and the figures by which a cut-over is decided.
--
-- A message belongs to the instant at which it was taken in here, or, where it was not, to that of the other path's
-- outcome. Of several entries of one message the newest counts. What our path made of it says the run's newest message,
-- by its verdict; of a run in shadow, by the beginning of the reason. What holdfast itself sends is none of the run's.
-- Unlike on SQLite, the newest message is joined laterally, and an outcome is asked for as a range, whose order only
-- the index of messages has: for a table that was empty the planner would take any index of the tenant's for as good.

-- The entries of a time with what was made of them; those that were filtered, only where the other path says something.
-- name: from_entries
(
    SELECT x.*, CASE
        WHEN theirs IS NULL THEN 'alone'
        WHEN ours IS NULL THEN 'missing'
        WHEN ours <> theirs THEN 'different'
        WHEN ours IN ('sent', 'review') AND their_text <> '' AND text_digest <> their_digest THEN 'different'
        ELSE 'same'
    END AS comparison
    FROM (
        SELECT e.at, e.uid, e.message_id, e.run_id, m.body, m.text_digest, o.decided AS theirs,
               coalesce(o.text, '') AS their_text, o.text_digest AS their_digest,
        CASE
            WHEN e.outcome = 'filtered' THEN 'withheld'
            WHEN r.status IN ('failed', 'cancelled') THEN 'failed'
            WHEN r.status = 'succeeded' THEN CASE
                WHEN m.uid IS NULL THEN 'withheld'
                WHEN m.verdict = 'refused' THEN 'withheld'
                WHEN m.verdict = 'review' THEN 'review'
                WHEN m.verdict = 'shadow' AND substr(m.reason, 1, 8) = 'refused:' THEN 'withheld'
                WHEN m.verdict = 'shadow' AND substr(m.reason, 1, 7) = 'review:' THEN 'review'
                ELSE 'sent'
            END
        END AS ours
        FROM holdfast.intake_entries AS e
        LEFT JOIN LATERAL (
            SELECT * FROM holdfast.shadow_outcomes AS o
            WHERE o.tenant = e.tenant AND o.workflow = e.workflow
              AND o.message_id >= e.message_id AND o.message_id <= e.message_id ORDER BY o.message_id LIMIT 1
        ) AS o ON true
        LEFT JOIN LATERAL (
            SELECT r.uid, r.status FROM holdfast.runs AS r WHERE r.tenant = e.tenant AND r.id = e.run_id OFFSET 0
        ) AS r ON true
        LEFT JOIN LATERAL (
            SELECT m.uid, m.verdict, m.reason, m.body, m.text_digest FROM holdfast.messages AS m
            WHERE m.run = r.uid AND m.verdict <> 'send' ORDER BY m.uid DESC LIMIT 1
        ) AS m ON true
        WHERE e.tenant = $1 AND e.workflow = $2 AND e.at >= $3 AND (e.at, e.uid) < ($4::bigint, $5::bytea)
          AND (e.outcome = 'run' OR e.outcome = 'filtered' AND o.message_id IS NOT NULL)
          AND NOT EXISTS (
              SELECT FROM holdfast.intake_entries AS later
              WHERE later.tenant = e.tenant AND later.message_id = e.message_id AND later.message_id <> ''
                AND later.uid > e.uid AND later.workflow = e.workflow AND later.outcome IN ('run', 'filtered')
              OFFSET 0
          )
    ) AS x
)

-- name: compared
SELECT * FROM (
    SELECT 1 AS kind, at, uid, message_id, comparison, ours, theirs, run_id,
           CASE WHEN ours IN ('sent', 'review') THEN body END, their_text
    FROM /*entries*/ AS c WHERE ($8::text IS NULL OR comparison = $8)
    ORDER BY at DESC, uid DESC LIMIT $9
) AS of_entries
UNION ALL
SELECT * FROM (
    SELECT 0, o.at, NULL::bytea, o.message_id, 'missing', NULL::text, o.decided, NULL::text, NULL::bytea, o.text
    FROM holdfast.shadow_outcomes AS o
    WHERE o.tenant = $1 AND o.workflow = $2
      AND o.at >= $3 AND (o.at, o.message_id) < ($6::bigint, $7::text)
      AND ($8::text IS NULL OR $8 = 'missing') AND NOT EXISTS (
          SELECT FROM holdfast.intake_entries AS e
          WHERE e.tenant = o.tenant AND e.message_id = o.message_id AND e.message_id <> '' AND e.workflow = o.workflow
            AND e.outcome IN ('run', 'filtered')
          OFFSET 0
      )
    ORDER BY o.at DESC, o.message_id DESC LIMIT $9
) AS of_outcomes
ORDER BY at DESC, kind DESC, uid DESC, message_id DESC LIMIT $9

-- name: count_compared
SELECT comparison, count(*) FROM /*entries*/ AS c GROUP BY comparison
UNION ALL
SELECT 'missing', count(*) FROM holdfast.shadow_outcomes AS o
WHERE o.tenant = $1 AND o.workflow = $2 AND o.at >= $3 AND o.at < $4
  AND NOT EXISTS (
    SELECT FROM holdfast.intake_entries AS e
    WHERE e.tenant = o.tenant AND e.message_id = o.message_id AND e.message_id <> '' AND e.workflow = o.workflow
      AND e.outcome IN ('run', 'filtered')
    OFFSET 0
)

-- Runs are found by their uids, which begin with the millisecond at which they were made.
-- name: criteria
SELECT (
    SELECT count(*) FROM holdfast.intake_entries AS e
    WHERE e.tenant = $1 AND e.workflow = $2 AND e.at >= $3 AND e.at < $4
      AND e.outcome = 'run'
), (
    SELECT count(*) FROM holdfast.intake_entries AS e
    WHERE e.tenant = $1 AND e.workflow = $2 AND e.at >= $3 AND e.at < $4
      AND e.outcome = 'run'
      AND NOT EXISTS (SELECT FROM holdfast.runs AS r WHERE r.tenant = e.tenant AND r.id = e.run_id OFFSET 0)
), (
    SELECT count(*) FROM holdfast.intake_entries AS e
    CROSS JOIN LATERAL (
        SELECT r.uid, r.status FROM holdfast.runs AS r WHERE r.tenant = e.tenant AND r.id = e.run_id OFFSET 0
    ) AS r
    WHERE e.tenant = $1 AND e.workflow = $2 AND e.at >= $3 AND e.at < $4
      AND e.outcome = 'run' AND r.status = 'succeeded'
      AND NOT EXISTS (SELECT FROM holdfast.journal AS j WHERE j.run = r.uid AND j.kind = 'step' OFFSET 0)
), (
    SELECT count(*) FROM (
        SELECT r.tenant, r.id, r.workflow, r.parent_uid, r.created_at FROM holdfast.runs AS r
        WHERE r.tenant = $1 AND r.uid >= $7 AND r.uid < $8 ORDER BY r.uid OFFSET 0
    ) AS r
    WHERE r.workflow = $2 AND r.parent_uid IS NULL AND r.created_at >= $3 AND r.created_at < $4 AND NOT EXISTS (
        SELECT FROM holdfast.intake_entries AS e WHERE e.tenant = r.tenant AND e.run_id = r.id OFFSET 0
    )
), (
    SELECT count(*) FROM holdfast.messages AS m
    WHERE m.tenant = $1 AND m.workflow = $2
      AND m.status IN ('pending', 'failed', 'sending', 'dead')
      AND m.created_at >= $3 AND m.created_at < $4
      AND (m.status = 'dead' OR CASE WHEN m.status = 'pending' THEN m.due_at ELSE m.created_at END < $6)
), (
    SELECT count(*) FROM /*entries*/ AS c WHERE ours = 'sent' AND theirs IN ('withheld', 'review')
), (
    SELECT count(*) FROM holdfast.messages AS m
    WHERE m.tenant = $1 AND m.workflow = $2 AND m.status = 'sent' AND m.verdict = 'review'
      AND m.approved_by IS NULL AND m.ended_at >= $3 AND m.created_at >= $3 AND m.created_at < $4
)

-- Guarantees: of a message there is one outcome, the last that was told; one that says the same changes nothing.
-- Locks: these rows, in order of key, as the caller sorts them.
-- name: put_outcomes
INSERT INTO holdfast.shadow_outcomes AS o (tenant, workflow, message_id, decided, text, text_digest, at)
SELECT * FROM unnest($1::holdfast.shadow_outcome_row[])
ON CONFLICT (tenant, workflow, message_id) DO UPDATE SET
    decided = excluded.decided, text = excluded.text, text_digest = excluded.text_digest, at = excluded.at
WHERE o.decided <> excluded.decided OR o.text <> excluded.text
