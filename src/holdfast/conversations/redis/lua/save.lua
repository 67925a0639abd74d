-- Ends a turn: stores the conversation and the turn and gives it back, or does nothing.
--
-- Guarantees: only who has it, under its token and within its lease, stores anything; a call that is repeated finds
-- what it stored. All that is left then expires together; but for a handover, which is kept until it is done.
--
-- ARGV: token, ttl (us), revision, what tells this call from another, channel, what to say there; the turn's number
-- ('' for none), id, fingerprint and rest; the conversation's user, status, number of turns and rest; what is still to be
-- done of a handover ('' for nothing).
-- Replies: saved, stored (by an earlier call), lost, revision or turn (it does not fit); changed at; expires at.

local token, ttl, revision, mark = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local number, turn_id, fingerprint, rest = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local status, turns, rest_of_row, handover = ARGV[13], ARGV[14], ARGV[15], ARGV[16]

local now = clock()
local hold, held = read_hold(now)
local row = read_fields(STATE, 'user', 'revision', 'created_at', 'changed_at', 'expires_at')

local function is_stored()
  if hold.token == token and hold.saved == mark then
    return true
  end
  if number == '' or find_turn(turn_id) ~= number then
    return false
  end
  local turn = read_turn(number)
  return turn and string.sub(turn, string.find(turn, ':', 1, true) + 1) == rest
end

if not held or hold.token ~= token then
  if is_stored() then
    return {'stored', tonumber(row.changed_at or 0), tonumber(row.expires_at or 0)}
  end
  return {'lost', 0, 0}
end
if tonumber(row.revision or 0) ~= revision - 1 then
  return {'revision', 0, 0}
end
if number ~= '' and next(read_fields(TURNS, 'i:' .. turn_id, 'n:' .. number)) then
  return {'turn', 0, 0}
end

local user, changed_at, expires_at = row.user or ARGV[12], text(now), text(now + ttl)
local fields = {
  'user', user, 'status', status, 'revision', ARGV[4], 'turns', turns, 'created_at', row.created_at or changed_at,
  'changed_at', changed_at, 'expires_at', expires_at, 'row', rest_of_row,
}
local function add(name, value)
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end
if status ~= 'open' then
  add('ended_at', changed_at)
end
if handover ~= '' then
  add('handover', handover)
end
redis.call('HDEL', STATE, 'ended_at', 'handover')
redis.call('HSET', STATE, unpack(fields))
if number ~= '' then
  redis.call('HSET', TURNS, 'i:' .. turn_id, number .. ':' .. fingerprint, 'n:' .. number, changed_at .. ':' .. rest)
end
redis.call('HSET', HOLD, 'until', '0', 'saved', mark)
redis.call('HSET', GONE, 'user', user, 'expires_at', expires_at)

local ms = milliseconds(ttl)
redis.call('PEXPIRE', HOLD, text(math.max(ms, SPARE_MS)))
redis.call('PEXPIRE', GONE, text(ms + milliseconds(GONE_US)))
for _, key in ipairs({STATE, TURNS}) do
  if handover ~= '' then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIRE', key, text(ms))
  end
end
say_free(ARGV[6], ARGV[7])
return {'saved', now, now + ttl}
