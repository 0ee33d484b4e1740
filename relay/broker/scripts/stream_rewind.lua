-- Walks back in a stream, a bounded step at a time.
-- KEYS: the stream. ARGV: where to begin, as XREVRANGE takes it; how many entries to walk; at how many bytes to end.
-- Returns how many were walked, and the id of the last one, or nothing.

local walked, size, last, most = 0, 0, '', tonumber(ARGV[2])
local start = ARGV[1]
while walked < most and size < tonumber(ARGV[3]) do
  local number = math.min(64, most - walked)
  local found = redis.call('XREVRANGE', KEYS[1], start, '-', 'COUNT', number)
  for _, entry in ipairs(found) do
    walked = walked + 1
    last = entry[1]
    for _, word in ipairs(entry[2]) do
      size = size + #word
    end
  end
  if #found < number then
    break
  end
  start = '(' .. last
end
return {walked, last}
