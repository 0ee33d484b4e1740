-- Finds who is on a channel, over all processes.
-- KEYS: the processes. ARGV: how the names of their presence begin, the channel, 'all' or 'count'.
-- Returns the entry of each process that has one, or only the count with which it begins.
--
-- The other keys have the hash tag of the first, so in a cluster they are on the same node. Those of a
-- process that died have expired, whether or not it is still in the list.

local found = {}
for _, process in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local entry = redis.call('HGET', ARGV[1] .. process, ARGV[2])
  if entry then
    found[#found + 1] = ARGV[3] == 'count' and string.match(entry, '^%d+') or entry
  end
end
return found
