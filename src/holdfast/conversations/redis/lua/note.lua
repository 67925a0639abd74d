-- Puts conversations into an index, or further up in it: never down, since notes may arrive in any order.
--
-- KEYS: the index. ARGV: how long the index is needed (ms; '' for ever); then for each its score ('' for the clock) and
-- its member.

local entries = {}
for n = 3, #ARGV, 2 do
  entries[n - 2] = ARGV[n] ~= '' and ARGV[n] or text(clock())
  entries[n - 1] = ARGV[n + 1]
end
redis.call('ZREM', KEYS[1], '') -- Full or not, see begin.lua: the turn is stored, or is just being.
redis.call('ZADD', KEYS[1], 'GT', unpack(entries))
if ARGV[2] ~= '' and redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
