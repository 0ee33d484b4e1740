-- Notes that a hub process lives and what it reports, and drops those whose time is over.
-- KEYS: the processes, the report of the process. ARGV: the process, for how long it counts from now on,
-- in ms, the report ('' for none).
-- Returns nothing.
--
-- The time now stands before the report, in ms and with a space, so that a reader knows its age.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[2], string.format('%.0f ', now) .. ARGV[3], 'PX', ARGV[2])
end
