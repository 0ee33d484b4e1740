-- Finds where the last messages begin. KEYS: the history. ARGV: how many messages.
-- Returns the id of the first of them ('' if the history holds no message) and how many there are.
--
-- Goes back epoch by epoch. Offsets within an epoch count its messages, so no more than two entries of
-- each are read, whatever a client asks for. Where an epoch has a break, messages are missing, and those
-- count as well.

local wanted, found, first, last = tonumber(ARGV[1]), 0, '', '+'

local function one(command, from, to)
  return redis.call(command, KEYS[1], from, to, 'COUNT', 1)[1]
end

while found < wanted do
  local newest = one('XREVRANGE', last, '-')
  if not newest then
    break
  end
  local epoch, high = string.match(newest[1], '^(%d+)-(%d+)$')
  high = tonumber(high)
  local oldest = one('XRANGE', epoch .. '-0', '+')
  local low = math.max(tonumber(string.match(oldest[1], '-(%d+)$')), 1)
  if high >= low then
    local from = math.max(low, high - (wanted - found) + 1)
    first = one('XRANGE', string.format('%s-%.0f', epoch, from), '+')[1]
    found = found + high - from + 1
  end
  last = '(' .. oldest[1]
end
return {first, found}
