-- What every script begins with: the names of a conversation's keys, the clock, and what is read of a conversation.
--
-- KEYS: see keys.py; the scripts of an index have one key, the index. ARGV[1]: microseconds that are added to the
-- clock, 0 but in tests. Instants are microseconds since 1970; a double holds them exactly until the year 2255.
--
-- When memory is full, Redis refuses a script whose first write may need more, and none once it has written. So what
-- begins a turn writes such a thing first, and is refused as a whole; what goes on with one or ends it frees first.

if redis.replicate_commands then
  redis.replicate_commands() -- Redis 6.2 may be set up to refuse a write after TIME without this.
end

local STATE, TURNS, HOLD, LINE, SEEN, GONE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]

local SPARE_MS = 60000 -- What is only useful for a while is kept for so much longer.
local GONE_US = 7 * 24 * 3600 * 1000000 -- As in conversation_rows.py.
local LINE_US = 3000000 -- Likewise.

local function text(number)
  return string.format('%.0f', number) -- Lua itself rounds to 14 digits.
end

local function milliseconds(us)
  return math.max(0, math.ceil(us / 1000))
end

local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2]) + tonumber(ARGV[1])
end

local function table_of(flat)
  local found = {}
  for n = 1, #flat, 2 do
    found[flat[n]] = flat[n + 1]
  end
  return found
end

-- Some fields of a hash, by name.
local function read_fields(key, ...)
  local found = {}
  for n, value in ipairs(redis.call('HMGET', key, ...)) do
    found[select(n, ...)] = value or nil
  end
  return found
end

-- Who has it, or had it last; whether that one still has it.
local function read_hold(now)
  local hold = table_of(redis.call('HGETALL', HOLD))
  return hold, hold.ticket ~= nil and hold['until'] ~= nil and tonumber(hold['until']) > now
end

-- The conversation, and the same as a flat list; nil once it has expired, whether Redis has deleted it yet or not. A
-- turn that has begun, and a handover that is to be done, keep it.
local function read_row(now, held)
  local flat = redis.call('HGETALL', STATE)
  if #flat == 0 then
    return nil, false
  end
  local row = table_of(flat)
  row.expires = tonumber(row.expires_at)
  if now >= row.expires and not held and not row.handover then
    return nil, false
  end
  return row, flat
end

-- The turn of a number, as it was stored; nil if there is none.
local function read_turn(number)
  return redis.call('HGET', TURNS, 'n:' .. number) or nil
end

-- Number and fingerprint of the turn that calls itself so; nil if there is none.
local function find_turn(id)
  local found = redis.call('HGET', TURNS, 'i:' .. id)
  if not found then
    return nil
  end
  local colon = string.find(found, ':', 1, true)
  return string.sub(found, 1, colon - 1), string.sub(found, colon + 1)
end

-- Whether somebody is before a ticket in line, or in line at all if the ticket is not.
local function is_behind(ticket, now)
  local start, places = 0, nil
  repeat
    places = redis.call('ZRANGE', LINE, start, start + 9)
    for _, other in ipairs(places) do
      if other == ticket then
        return false
      end
      if tonumber(redis.call('HGET', SEEN, other) or 0) > now then
        return true
      end
    end
    start = start + 10
  until #places < 10
  return false
end

local function leave_line(ticket)
  if redis.call('ZREM', LINE, ticket) == 0 then
    return false
  end
  redis.call('HDEL', SEEN, ticket)
  return true
end

-- Have Redis keep it for so long at least, be it there and not kept for ever.
local function keep(key, ms)
  local left = redis.call('PTTL', key)
  if left >= 0 and left < ms then
    redis.call('PEXPIRE', key, text(ms))
  end
end

-- Says that it may be free, if anybody waits for it. A user without a right to the channel is not hindered: those who
-- wait look for themselves.
local function say_free(channel, name)
  if redis.call('EXISTS', LINE) == 1 then
    redis.pcall('PUBLISH', channel, name)
  end
end

-- The conversation outlives a lease that ends then.
local function keep_held(now, till)
  local ms = milliseconds(till - now) + SPARE_MS
  keep(STATE, ms)
  keep(TURNS, ms)
  if redis.call('PTTL', HOLD) < ms then
    redis.call('PEXPIRE', HOLD, text(ms))
  end
end
