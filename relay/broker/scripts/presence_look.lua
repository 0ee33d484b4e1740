-- Reads a part of the counts of one process.
-- KEYS: the processes. ARGV: the name of the presence of the process, where to go on ('0' at first), about
-- how many channels (0: none), then channels whose counts are wanted in any case.
-- Returns where to go on ('0' at the end), the counts of those channels, and then channels by turns with
-- their counts. A channel may come twice.
--
-- The presence has the hash tag of the processes, so in a cluster they are on the same node.

local function count_of(entry)
  return entry and string.match(entry, '^%d+') or '0'
end

local wanted, found, cursor = {}, {}, '0'
for index = 4, #ARGV do
  wanted[index - 3] = count_of(redis.call('HGET', ARGV[1], ARGV[index]))
end
if ARGV[3] ~= '0' then
  local page = redis.call('HSCAN', ARGV[1], ARGV[2], 'COUNT', ARGV[3])
  cursor, found = page[1], page[2]
  for index = 2, #found, 2 do
    found[index] = count_of(found[index])
  end
end
return {cursor, wanted, found}
