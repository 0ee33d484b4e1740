-- Finds the hub processes that live, and what each reports.
-- KEYS: the processes. ARGV: how the names of the reports begin, how long a report may be.
-- Returns the time now in ms, and each process followed by its report ('' for one that is not there, too
-- long, or of another type).
--
-- The reports have the hash tag of the processes, so in a cluster they are on the same node.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local found = {now}
for _, process in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
  local report = redis.pcall('GET', ARGV[1] .. process)
  found[#found + 1] = process
  found[#found + 1] = type(report) == 'string' and #report <= tonumber(ARGV[2]) and report or ''
end
return found
