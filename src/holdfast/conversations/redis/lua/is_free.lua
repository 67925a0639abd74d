-- Whether a ticket would get a conversation now. Changes nothing.
--
-- ARGV: ticket. Replies: 1 or 0.

local now = clock()
local _, held = read_hold(now)
return (held or is_behind(ARGV[2], now)) and 0 or 1
