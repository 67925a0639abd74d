-- Answers to requests that named themselves.
--
-- Guarantees: of requests of one name at once, one is the caller's to answer; an answer is kept only for the
-- reservation that it was made under.
-- Locks: the answer's row; one that another makes just now is waited for. Unlike SQLite, what stands in the way is
-- read by a statement of its own, and may be gone by then: the caller tries again.

-- Taken over is what has expired, what the same request began and has left lying, and the caller's own.
-- name: reserve
INSERT INTO holdfast.replies AS r (tenant, key, fingerprint, begun_at, expires_at, status, headers, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant, key) DO UPDATE
SET fingerprint = excluded.fingerprint, begun_at = excluded.begun_at, expires_at = excluded.expires_at,
    status = excluded.status, headers = excluded.headers, body = excluded.body
WHERE r.expires_at <= (SELECT holdfast.now_us())
   OR (r.status IS NULL AND r.fingerprint = excluded.fingerprint
       AND (r.begun_at < $9 OR r.begun_at = excluded.begun_at))

-- name: reply
SELECT tenant, key, fingerprint, begun_at, expires_at, status, headers, body FROM holdfast.replies
WHERE tenant = $1 AND key = $2

-- name: store
UPDATE holdfast.replies SET status = $4, headers = $5, body = $6 WHERE tenant = $1 AND key = $2 AND begun_at = $3

-- name: drop
DELETE FROM holdfast.replies WHERE tenant = $1 AND key = $2 AND begun_at = $3 AND status IS NULL
