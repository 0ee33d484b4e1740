-- Notes a kick for every hub process to find, drops those that are too old to matter, and tells the
-- processes to look.
-- KEYS: the kicks, the processes. ARGV: the kick, how long to keep it in ms, the control channel.
-- Returns how many processes there are, and why they could not be told ('' if they were).
--
-- PUBLISH is a pcall: a kick that is noted stays noted where Redis denies the channel.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local heard = redis.pcall('PUBLISH', ARGV[3], '')
local processes = redis.call('ZCOUNT', KEYS[2], string.format('(%.0f', now), '+inf')
return {processes, type(heard) == 'table' and heard.err or ''}
