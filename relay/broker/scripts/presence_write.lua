-- Tells who is on the channels of one process, and that the process lives.
-- KEYS: the processes, the entries of this one. ARGV: the process, how long all of it is true in ms,
-- then channels, each with its entry ('' for none).
-- Returns 1 if Redis had nothing of this process: then it has to tell everything.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local is_new = redis.call('HSETNX', KEYS[2], '', '')
for index = 3, #ARGV, 2 do
  if ARGV[index + 1] == '' then
    redis.call('HDEL', KEYS[2], ARGV[index])
  else
    redis.call('HSET', KEYS[2], ARGV[index], ARGV[index + 1])
  end
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return is_new
