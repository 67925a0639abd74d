-- Takes a handover that is done off a conversation, which from then on expires like any other.
--
-- ARGV: the handover, as it was saved. Replies: 1 if none is left to be done, else 0.

local row = table_of(redis.call('HGETALL', STATE))
if row.handover ~= ARGV[2] then
  return row.handover and 0 or 1
end
local now = clock()
local hold, held = read_hold(now)
redis.call('HDEL', STATE, 'handover')
for _, key in ipairs({STATE, TURNS}) do
  redis.call('PEXPIRE', key, text(math.max(1, milliseconds(tonumber(row.expires_at) - now))))
end
if held then
  keep_held(now, tonumber(hold['until']))
end
return 1
