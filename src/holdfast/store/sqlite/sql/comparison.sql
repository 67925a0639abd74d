-- What our runs and another path made of the same messages, and the figures by which a cut-over is decided.
--
-- A message belongs to the instant at which it was taken in here, or, where it was not, to that of the other path's
-- outcome. Of several entries of one message the newest counts. What our path made of it says the run's newest message,
-- by its verdict; of a run in shadow, by the beginning of the reason. What holdfast itself sends is none of the run's.
-- Unlike on PostgreSQL, which joins it laterally, the newest message is looked up by its uid.

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
        FROM intake_entries AS e
        LEFT JOIN shadow_outcomes AS o
            ON o.tenant = e.tenant AND o.workflow = e.workflow AND o.message_id = e.message_id
        LEFT JOIN runs AS r ON r.tenant = e.tenant AND r.id = e.run_id
        LEFT JOIN messages AS m ON m.uid = (
            SELECT x.uid FROM messages AS x WHERE x.run = r.uid AND x.verdict <> 'send' ORDER BY x.uid DESC LIMIT 1
        )
        WHERE e.tenant = :tenant AND e.workflow = :workflow AND e.at >= :since AND (e.at, e.uid) < (:at, :uid)
          AND (e.outcome = 'run' OR e.outcome = 'filtered' AND o.message_id IS NOT NULL)
          AND NOT EXISTS (
              SELECT 1 FROM intake_entries AS later
              WHERE later.tenant = e.tenant AND later.message_id = e.message_id AND later.message_id <> ''
                AND later.uid > e.uid AND later.workflow = e.workflow AND later.outcome IN ('run', 'filtered')
          )
    ) AS x
)

-- name: compared
SELECT * FROM (
    SELECT 1 AS kind, at, uid, message_id, comparison, ours, theirs, run_id,
           CASE WHEN ours IN ('sent', 'review') THEN body END, their_text
    FROM /*entries*/ AS c WHERE (:which IS NULL OR comparison = :which)
    ORDER BY at DESC, uid DESC LIMIT :limit
) AS of_entries
UNION ALL
SELECT * FROM (
    SELECT 0, o.at, NULL, o.message_id, 'missing', NULL, o.decided, NULL, NULL, o.text
    FROM shadow_outcomes AS o
    WHERE o.tenant = :tenant AND o.workflow = :workflow
      AND o.at >= :since AND (o.at, o.message_id) < (:outcome_at, :outcome_id)
      AND (:which IS NULL OR :which = 'missing') AND NOT EXISTS (
          SELECT 1 FROM intake_entries AS e
          WHERE e.tenant = o.tenant AND e.message_id = o.message_id AND e.message_id <> '' AND e.workflow = o.workflow
            AND e.outcome IN ('run', 'filtered')
      )
    ORDER BY o.at DESC, o.message_id DESC LIMIT :limit
) AS of_outcomes
ORDER BY at DESC, kind DESC, uid DESC, message_id DESC LIMIT :limit

-- name: count_compared
SELECT comparison, count(*) FROM /*entries*/ AS c GROUP BY comparison
UNION ALL
SELECT 'missing', count(*) FROM shadow_outcomes AS o
WHERE o.tenant = :tenant AND o.workflow = :workflow AND o.at >= :since AND o.at < :at
  AND NOT EXISTS (
    SELECT 1 FROM intake_entries AS e
    WHERE e.tenant = o.tenant AND e.message_id = o.message_id AND e.message_id <> '' AND e.workflow = o.workflow
      AND e.outcome IN ('run', 'filtered')
)

-- Runs are found by their uids, which begin with the millisecond at which they were made.
-- name: criteria
SELECT (
    SELECT count(*) FROM intake_entries AS e
    WHERE e.tenant = :tenant AND e.workflow = :workflow AND e.at >= :since AND e.at < :at
      AND e.outcome = 'run'
), (
    SELECT count(*) FROM intake_entries AS e
    WHERE e.tenant = :tenant AND e.workflow = :workflow AND e.at >= :since AND e.at < :at
      AND e.outcome = 'run'
      AND NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.tenant = e.tenant AND r.id = e.run_id)
), (
    SELECT count(*) FROM intake_entries AS e JOIN runs AS r ON r.tenant = e.tenant AND r.id = e.run_id
    WHERE e.tenant = :tenant AND e.workflow = :workflow AND e.at >= :since AND e.at < :at
      AND e.outcome = 'run' AND r.status = 'succeeded'
      AND NOT EXISTS (SELECT 1 FROM journal AS j WHERE j.run = r.uid AND j.kind = 'step')
), (
    SELECT count(*) FROM runs AS r
    WHERE r.tenant = :tenant AND r.uid >= :low AND r.uid < :high AND r.workflow = :workflow
      AND r.parent_uid IS NULL AND r.created_at >= :since AND r.created_at < :at
      AND NOT EXISTS (SELECT 1 FROM intake_entries AS e WHERE e.tenant = r.tenant AND e.run_id = r.id)
), (
    SELECT count(*) FROM messages AS m
    WHERE m.tenant = :tenant AND m.workflow = :workflow
      AND m.status IN ('pending', 'failed', 'sending', 'dead')
      AND m.created_at >= :since AND m.created_at < :at
      AND (m.status = 'dead' OR CASE WHEN m.status = 'pending' THEN m.due_at ELSE m.created_at END < :unsent)
), (
    SELECT count(*) FROM /*entries*/ AS c WHERE ours = 'sent' AND theirs IN ('withheld', 'review')
), (
    SELECT count(*) FROM messages AS m
    WHERE m.tenant = :tenant AND m.workflow = :workflow AND m.status = 'sent' AND m.verdict = 'review'
      AND m.approved_by IS NULL AND m.ended_at >= :since AND m.created_at >= :since AND m.created_at < :at
)

-- Guarantees: of a message there is one outcome, the last that was told; one that says the same changes nothing.
-- name: put_outcomes
INSERT INTO shadow_outcomes AS o (tenant, workflow, message_id, decided, text, text_digest, at)
VALUES /*rows*/ (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, workflow, message_id) DO UPDATE SET
    decided = excluded.decided, text = excluded.text, text_digest = excluded.text_digest, at = excluded.at
WHERE o.decided <> excluded.decided OR o.text <> excluded.text
