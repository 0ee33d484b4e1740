-- Finds the kicks since a time.
-- KEYS: the kicks. ARGV: the time in ms.
-- Returns the time now in ms, and each kick followed by the time at which it was noted.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return {now, redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf', 'WITHSCORES')}
