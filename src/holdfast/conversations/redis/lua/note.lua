-- Puts a conversation into an index, or further up in it: never down, since notes may arrive in any order.
--
-- KEYS: the index. ARGV: the member, the score ('' for the clock), how long the index is needed (ms; '' for ever).

redis.call('ZREM', KEYS[1], '') -- Full or not, see begin.lua: the turn is stored, or is just being.
redis.call('ZADD', KEYS[1], 'GT', ARGV[3] ~= '' and ARGV[3] or text(clock()), ARGV[2])
if ARGV[4] ~= '' and redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
