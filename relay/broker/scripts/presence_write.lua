-- Writes who is on the channels of one process.
-- KEYS: the presence of the process. ARGV: how long it counts in ms, then channels, each with its entry
-- ('' for none).
-- Returns 1 if Redis had nothing of this process: then it has to write every channel.

local is_new = redis.call('HSETNX', KEYS[1], '', '')
for index = 2, #ARGV, 2 do
  if ARGV[index + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[index])
  else
    redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1])
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return is_new
