-- Where a conversation stands in an index.
--
-- KEYS: the index. ARGV: the member. Replies: its score; nothing if it is not there.

return redis.call('ZSCORE', KEYS[1], ARGV[2])
