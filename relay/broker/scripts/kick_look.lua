-- Finds the kicks since a time, and notes that a process lives.
-- KEYS: the kicks, the processes. ARGV: the process, the time in ms, after how many ms without a sign a
-- process counts as gone.
-- Returns the time now in ms, and each kick followed by when it was noted.
--
-- What is written is a pcall: where Redis refuses to write, kicks can be read all the same.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.pcall('ZADD', KEYS[2], string.format('%.0f', now), ARGV[1])
redis.pcall('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - ARGV[3]))
redis.pcall('PEXPIRE', KEYS[2], ARGV[3])
return {now, redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[2], '+inf', 'WITHSCORES')}
