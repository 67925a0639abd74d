-- Keeps a conversation from others for longer, if the ticket still has it.
--
-- ARGV: ticket, lease (us). Replies: 1 or 0.

local now = clock()
local hold, held = read_hold(now)
if not held or hold.ticket ~= ARGV[2] then
  return 0
end
local till = now + tonumber(ARGV[3])
redis.call('HDEL', HOLD, '') -- Full or not, see begin.lua.
redis.call('HSET', HOLD, 'until', text(till))
keep_held(now, till)
return 1
