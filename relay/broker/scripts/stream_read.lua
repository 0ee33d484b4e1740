-- Reads the entries of a stream after a position, and what says whether some are missing before them.
-- KEYS: the stream. ARGV: the position, or + for none; how many entries at most; at how many bytes to end.
-- Returns the type of the key; of a stream also its last id, its length, how many entries it ever had and the
-- greatest id that XDEL removed (each empty before Redis 7.0), 1 if it has an entry before the position and
-- 2 if it has one at the position, 1 if more entries follow, and the entries.
--
-- XINFO copies the first and the last entry, so one call has to tell everything.

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'stream' then
  return {kind}
end

local info, facts = redis.call('XINFO', 'STREAM', KEYS[1]), {}
for index = 1, #info, 2 do
  facts[info[index]] = info[index + 1]
end
local added = facts['entries-added']
local answer = {
  kind, facts['last-generated-id'], facts['length'], added and string.format('%.0f', added) or '',
  facts['max-deleted-entry-id'] or '', 0, 0, {}
}
if ARGV[1] == '+' then
  return answer
end

local before = redis.call('XREVRANGE', KEYS[1], ARGV[1], '-', 'COUNT', 1)[1]
answer[6] = not before and 0 or before[1] == ARGV[1] and 2 or 1
local entries, size, first = answer[8], 0, '(' .. ARGV[1]
local most, enough, step = tonumber(ARGV[2]), tonumber(ARGV[3]), 16
while #entries < most and size < enough do
  local number = math.min(step, most - #entries)
  local found = redis.call('XRANGE', KEYS[1], first, '+', 'COUNT', number)
  for _, entry in ipairs(found) do
    entries[#entries + 1] = entry
    for _, word in ipairs(entry[2]) do
      size = size + #word
    end
  end
  if #found < number then
    return answer
  end
  first = '(' .. entries[#entries][1]
end
answer[7] = 1
return answer
