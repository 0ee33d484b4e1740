-- Notes a kick, for every hub process to find, and drops those that are too old to matter.
-- KEYS: the kicks, the processes. ARGV: the kick, how long to keep it in ms, after how many ms without
-- a sign a process counts as gone.
-- Returns how many processes there are.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCOUNT', KEYS[2], string.format('%.0f', now - ARGV[3]), '+inf')
