-- Gives a conversation to who asks for it, or a place in line: `decide` of turn_taking.py, on what is stored here.
--
-- It differs from the databases in what has expired: nothing is left of that but its user, so that one of its turns is
-- not found any more; and once that is forgotten too, the conversation can be made anew at once.
--
-- ARGV: user, ticket, turn id, fingerprint, lease (us), whether it waits, whether it makes a new one, how many of its
-- last turns are wanted.
-- Replies: outcome, token, whether it joins, held for (us), until, the clock, the conversation, the finished turn, the
-- last turns.

local user, ticket, turn_id, fingerprint = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local lease, waits, make, recent = tonumber(ARGV[6]), ARGV[7] == '1', ARGV[8] == '1', tonumber(ARGV[9])

local now = clock()
local hold, held = read_hold(now)
local row, flat = read_row(now, held)

local function answer(outcome, given)
  given = given or {}
  return {
    outcome, given.token or 0, given.joins and 1 or 0, given.held or 0, given.till or 0, now,
    outcome ~= 'missing' and outcome ~= 'expired' and flat, given.turn or false, given.said or {},
  }
end

local function last_turns()
  local names = {}
  if row and recent > 0 then
    for number = math.max(1, tonumber(row.turns) - recent + 1), tonumber(row.turns) do
      names[#names + 1] = 'n:' .. text(number)
    end
  end
  return #names > 0 and redis.call('HMGET', TURNS, unpack(names)) or {}
end

local function take(token)
  local till, said = now + lease, text(token)
  redis.call('HSET', HOLD,
    'since', hold.token == said and hold.since or text(now), 'user', user, 'token', said,
    'ticket', ticket, 'turn_id', turn_id, 'fingerprint', fingerprint, 'until', text(till))
  if not row then
    redis.call('DEL', STATE, TURNS, GONE) -- Of one that is forgotten.
  end
  leave_line(ticket)
  if not row or not hold.token or row.expires < till + SPARE_MS * 1000 then
    keep_held(now, till) -- Else the last turn has seen to that.
  end
  return answer('yours', {token = token, till = till, said = last_turns()})
end

local function stand_in_line(given)
  redis.call('HSET', SEEN, ticket, text(now + LINE_US))
  if not redis.call('ZSCORE', LINE, ticket) then
    local last = redis.call('ZRANGE', LINE, -1, -1, 'WITHSCORES')
    redis.call('ZADD', LINE, text(tonumber(last[2] or 0) + 1), ticket)
  end
  for _, other in ipairs(redis.call('ZRANGE', LINE, 0, -1)) do
    if tonumber(redis.call('HGET', SEEN, other) or 0) <= now then
      leave_line(other)
    end
  end
  for _, key in ipairs({LINE, SEEN}) do
    redis.call('PEXPIRE', key, text(milliseconds(LINE_US) + SPARE_MS))
  end
  return answer('waits', given)
end

if row or held then
  if (row and row.user or hold.user) ~= user then
    return answer('missing')
  end
else
  local gone = table_of(redis.call('HGETALL', GONE))
  if gone.user and now < tonumber(gone.expires_at) + GONE_US then
    return answer(gone.user == user and 'expired' or 'missing')
  end
  if not make then
    return answer('missing')
  end
end
if row and turn_id ~= '' then
  local number, said = find_turn(turn_id)
  if number then
    return answer(said == fingerprint and 'finished' or 'other', {turn = read_turn(number)})
  end
end
if row and not held and now >= row.expires then
  return answer(now < row.expires + GONE_US and 'expired' or 'missing')
end
if row and row.status ~= 'open' then
  return answer('over')
end
if held and hold.ticket == ticket then
  return take(tonumber(hold.token))
end
if held then
  local joins = turn_id ~= '' and hold.turn_id == turn_id
  if joins and hold.fingerprint ~= fingerprint then
    return answer('other')
  end
  local given = {joins = joins, held = now - tonumber(hold.since), till = tonumber(hold['until'])}
  if waits or joins then
    return stand_in_line(given)
  end
  return answer('busy', given)
end
if is_behind(ticket, now) then
  if waits then
    return stand_in_line()
  end
  return answer('busy')
end
-- It rises with the clock, so that none is given twice even if nothing is remembered of the conversation.
return take(math.max(now, tonumber(hold.token or -1) + 1))
