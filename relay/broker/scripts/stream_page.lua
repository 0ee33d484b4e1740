-- Reads the newest entries of a stream before an id.
-- KEYS: the stream. ARGV: the id ('' for the newest), how many entries, at how many bytes to end.
-- Returns the entries, newest first, and 1 if there are older ones. Nothing for a key of another type.

local entries, size = {}, 0
if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then
  return {entries, 0}
end

local last = ARGV[1] == '' and '+' or '(' .. ARGV[1]
local wanted, enough = tonumber(ARGV[2]), tonumber(ARGV[3])
local largest = 64
while #entries < wanted and size < enough do
  -- No more at a time than seem to fit: entries that are not returned are work as well.
  local number = math.max(math.min(wanted - #entries, 16, math.floor((enough - size) / largest)), 1)
  local found = redis.call('XREVRANGE', KEYS[1], last, '-', 'COUNT', number)
  for _, entry in ipairs(found) do
    local bytes = 64
    for _, word in ipairs(entry[2]) do
      bytes = bytes + #word
    end
    if #entries > 0 and size + bytes > enough then
      return {entries, 1}
    end
    entries[#entries + 1] = entry
    size = size + bytes
    largest = math.max(largest, bytes)
  end
  if #found < number then
    return {entries, 0}
  end
  last = '(' .. found[#found][1]
end
return {entries, #redis.call('XREVRANGE', KEYS[1], last, '-', 'COUNT', 1)}
