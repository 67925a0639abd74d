-- Reads a conversation.
--
-- Replies: the clock, the conversation.

local now = clock()
local _, held = read_hold(now)
local _, flat = read_row(now, held)
return {now, flat}
