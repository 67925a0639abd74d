-- Reads an index from its lowest score up.
--
-- KEYS: the index. ARGV: how long ago the scores are at least (us; '' for any), how many to leave out, how many at most.
-- Replies: member and score of each.

local most = ARGV[2] ~= '' and text(clock() - tonumber(ARGV[2])) or '+inf'
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', most, 'WITHSCORES', 'LIMIT', ARGV[3], ARGV[4])
