-- Answers to requests that named themselves. Each verb is one BEGIN IMMEDIATE … COMMIT: unlike on PostgreSQL
-- what is read after a change is what the change found.
--
-- Guarantees: of requests of one name at once, one is the caller's to answer; an answer is kept only for the
-- reservation that it was made under.

-- Taken over is what has expired, what the same request began and has left lying, and the caller's own.
-- name: reserve
INSERT INTO replies (tenant, key, fingerprint, begun_at, expires_at, status, headers, body)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (tenant, key) DO UPDATE
SET fingerprint = excluded.fingerprint, begun_at = excluded.begun_at, expires_at = excluded.expires_at,
    status = excluded.status, headers = excluded.headers, body = excluded.body
WHERE expires_at <= (SELECT holdfast_now_us() + offset_us FROM clock)
   OR (status IS NULL AND fingerprint = excluded.fingerprint AND (begun_at < ?9 OR begun_at = excluded.begun_at))

-- name: reply
SELECT tenant, key, fingerprint, begun_at, expires_at, status, headers, body FROM replies WHERE tenant = ? AND key = ?

-- name: store
UPDATE replies SET status = ?4, headers = ?5, body = ?6 WHERE tenant = ?1 AND key = ?2 AND begun_at = ?3

-- name: drop
DELETE FROM replies WHERE tenant = ? AND key = ? AND begun_at = ? AND status IS NULL
