-- Finds the first entry that is not older than a time. KEYS: the log. ARGV: Unix time in ms.
-- Returns its id ('' if all are older) and '1' if the log reaches back to that time.
--
-- Goes back epoch by epoch, then halves the offsets of the one epoch in which the time lies.

local wanted = tonumber(ARGV[1])

local function one(command, from, to)
  return redis.call(command, KEYS[1], from, to, 'COUNT', 1)[1]
end

local function is_late(entry)
  return tonumber(entry[2][2]) >= wanted
end

local function split(entry)
  local epoch, offset = string.match(entry[1], '^(%d+)-(%d+)$')
  return epoch, tonumber(offset)
end

local found = nil
local newest = one('XREVRANGE', '+', '-')
while newest and is_late(newest) do
  local epoch, high = split(newest)
  local first = one('XRANGE', epoch .. '-0', '+')
  local _, low = split(first)
  if is_late(first) then
    found = first[1]
    newest = one('XREVRANGE', '(' .. first[1], '-')
  else
    while high - low > 1 do
      local middle = math.floor((low + high) / 2)
      local entry = one('XRANGE', string.format('%s-%.0f', epoch, middle), '+')
      if is_late(entry) then
        high = middle
      else
        low = middle
      end
    end
    return {one('XRANGE', string.format('%s-%.0f', epoch, high), '+')[1], '1'}
  end
end
return {found or '', newest and '1' or '0'}
