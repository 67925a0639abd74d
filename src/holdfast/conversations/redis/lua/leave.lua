-- Gives a conversation back as it was, or a place in line, and says so.
--
-- ARGV: ticket, channel, what to say there.

local now = clock()
local hold, held = read_hold(now)
local left = leave_line(ARGV[2])
if hold.ticket == ARGV[2] then
  redis.call('HDEL', HOLD, 'ticket')
  left, held = true, false
end
if left and not held then
  say_free(ARGV[3], ARGV[4])
end
