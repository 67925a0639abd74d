-- Reads a conversation's turns in their order.
--
-- ARGV: behind which number, how many at most. Replies: the turns.

local now = clock()
local _, held = read_hold(now)
local row = read_row(now, held)
local found, number, most = {}, tonumber(ARGV[2]), tonumber(ARGV[3])
while row and number < tonumber(row.turns) and #found < most do
  number = number + 1
  local turn = read_turn(text(number))
  if turn then
    found[#found + 1] = turn
  end
end
return found
