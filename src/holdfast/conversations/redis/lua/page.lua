-- Reads an index from its highest score down.
--
-- KEYS: the index. ARGV: the highest score ('+inf' for any), how many to leave out, how many at most.
-- Replies: member and score of each.

return redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[2], '-inf', 'WITHSCORES', 'LIMIT', ARGV[3], ARGV[4])
