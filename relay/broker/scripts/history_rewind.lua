-- Finds where the last messages begin. KEYS: the log. ARGV: how many messages.
-- Returns the id of the first of them ('' if the log holds no message) and how many there are.

local wanted, found, first, last = tonumber(ARGV[1]), 0, '', '+'
while found < wanted do
  local entries = redis.call('XREVRANGE', KEYS[1], last, '-', 'COUNT', math.min(wanted - found + 1, 200))
  for _, entry in ipairs(entries) do
    if entry[2][3] == 'e' and found < wanted then
      found = found + 1
      first = entry[1]
    end
  end
  if #entries < 2 then
    break
  end
  last = '(' .. entries[#entries][1]
end
return {first, found}
