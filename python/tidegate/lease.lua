-- One wish of one replica for tokens of a budget that many replicas share: see docs/LEASES.md.
--
-- KEYS   1 the budget: level, rem, at, period
--        2 what this incarnation of this replica was answered last of this budget: seq, granted
-- ARGV   1 amount  2 period in ns  3 burst  4 seq  5 tokens wanted  6 tokens returned; below zero, a debt
-- Answer the tokens granted, deducted before they are answered; the same for the same seq; nil for an older one.
--
-- Numbers are doubles: all are whole and stay below 2^53, where doubles are exact.

local MAX_TOKENS = 2 ^ 40
local MAX_PERIOD = 2 ^ 52
local LOWEST_LEVEL = -2 ^ 52
-- An hour: longer than a lease is good for. Without a record, what comes back does not count.
local RECORD_MS = 3600 * 1000
-- How long a budget that must be full again is remembered nevertheless: rounding, and clocks that step a little.
local MARGIN_MS = 60 * 1000
local MAX_MS = 10 ^ 15

local function text(number)
  return string.format('%.0f', number)
end

local function whole(index, name, least, most)
  local number = tonumber(ARGV[index])
  if not number or number ~= math.floor(number) or number < least or number > most then
    error(name .. ' is not a whole number from ' .. text(least) .. ' to ' .. text(most))
  end
  return number
end

-- (a * b + c) / d, rounded down, and the rest; as soon as the quotient reaches `stop`, that, and no rest.
-- For whole a, b, c below 2^53, c below d, d up to 2^52. Works bit by bit, since a * b has no exact double.
local function muldiv(a, b, c, d, stop)
  local rest_of_b = math.fmod(b, d)
  local quotient_of_b = (b - rest_of_b) / d
  local quotient, rest = 0, 0
  local function add(more, rest_of_more)
    quotient, rest = quotient + more, rest + rest_of_more
    if rest >= d then
      quotient, rest = quotient + 1, rest - d
    end
    return quotient >= stop
  end
  local bit = 1
  while bit * 2 <= a do
    bit = bit * 2
  end
  while bit >= 1 do
    if add(quotient, rest) then
      return stop, 0
    end
    if a >= bit then
      a = a - bit
      if add(quotient_of_b, rest_of_b) then
        return stop, 0
      end
    end
    bit = bit / 2
  end
  if add(0, c) then
    return stop, 0
  end
  return quotient, rest
end

-- Since when nothing can have been granted of a budget that is not known here: all that this server granted is
-- remembered until the budget is full again, and what one before it granted lies before its start.
local function unknown_since(now)
  local info = redis.pcall('INFO', 'server')
  local uptime = type(info) == 'string' and tonumber(info:match('uptime_in_seconds:(%d+)')) or 0
  return now - math.max(0, uptime - 1) * 1000000
end

local amount = whole(1, 'amount', 0, MAX_TOKENS)
local period = whole(2, 'period', 1, MAX_PERIOD)
local burst = whole(3, 'burst', 0, MAX_TOKENS)
local seq = whole(4, 'seq', 1, 2 ^ 53 - 1)
local tokens = whole(5, 'tokens', 0, MAX_TOKENS)
local returned = whole(6, 'returned', -MAX_TOKENS, MAX_TOKENS)

local record = redis.call('HMGET', KEYS[2], 'seq', 'granted')
local last = tonumber(record[1])
if last == seq then
  return tonumber(record[2])
elseif last and last > seq then
  return false
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local budget = redis.call('HMGET', KEYS[1], 'level', 'rem', 'at', 'period')
local level, rem, at = tonumber(budget[1]), tonumber(budget[2]), tonumber(budget[3])
local old_period = tonumber(budget[4])
if not level then
  level, rem, at, old_period = 0, 0, unknown_since(now), period
end
if old_period ~= period then
  rem = muldiv(rem, period, 0, old_period, 2 ^ 53)
end

-- A clock that went back brings nothing until it is where it was; if that is longer than a refill, it was wrong before.
if at - now > (burst - level) / amount * period / 1000 then
  at = now
end
if now > at then
  if level < burst then
    local add
    add, rem = muldiv(now - at, amount * 1000, rem, period, burst - level)
    level = level + add
  end
  at = now
end
if returned < 0 or last then
  level = level + returned
end
if level < LOWEST_LEVEL then
  error('the debt is below ' .. text(LOWEST_LEVEL))
end
if level >= burst then
  level, rem = burst, 0
end
local granted = math.max(0, math.min(tokens, level))
level = level - granted

local full_ms = amount > 0 and (burst - level) / amount * (period / 1000000) or 0
redis.call('HSET', KEYS[1], 'level', text(level), 'rem', text(rem), 'at', text(at), 'period', text(period))
redis.call('PEXPIRE', KEYS[1], text(math.min(math.ceil(full_ms) + MARGIN_MS, MAX_MS)))
redis.call('HSET', KEYS[2], 'seq', text(seq), 'granted', text(granted))
redis.call('PEXPIRE', KEYS[2], text(RECORD_MS))
return granted
