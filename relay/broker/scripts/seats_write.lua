-- Writes how many seats one process has.
-- KEYS: the seats of each owner. ARGV: the process, for how long they count in ms, then the number for
-- each owner.
-- Returns nothing.

for index = 1, #KEYS do
  if ARGV[index + 2] == '0' then
    redis.call('HDEL', KEYS[index], ARGV[1])
  else
    redis.call('HSET', KEYS[index], ARGV[1], ARGV[index + 2])
    redis.call('PEXPIRE', KEYS[index], ARGV[2])
  end
end
