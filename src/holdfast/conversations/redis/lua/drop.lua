-- Takes out of an index what has not been noted again since it was read.
--
-- KEYS: the index. ARGV: member and score of each. Replies: how many it took out.

local dropped = 0
for n = 2, #ARGV, 2 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[n])
  if score and tonumber(score) == tonumber(ARGV[n + 1]) then
    dropped = dropped + redis.call('ZREM', KEYS[1], ARGV[n])
  end
end
return dropped
