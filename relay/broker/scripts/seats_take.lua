-- Takes a seat for a stream, unless its user or its address has too many streams over all processes.
-- KEYS: the processes, then the seats of each owner. ARGV: the process, for how long its seats count in
-- ms, then for each owner the limit and the number of seats that this process has with the new one.
-- Returns 1, or 0 if one of the limits is reached; then nothing is changed.
--
-- Seats of a process that died do not count: its time in the list is over.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local processes = redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')
for index = 2, #KEYS do
  local total = tonumber(ARGV[2 * index])
  for _, process in ipairs(processes) do
    if process ~= ARGV[1] then
      total = total + (redis.call('HGET', KEYS[index], process) or 0)
    end
  end
  if total > tonumber(ARGV[2 * index - 1]) then
    return 0
  end
end
for index = 2, #KEYS do
  redis.call('HSET', KEYS[index], ARGV[1], ARGV[2 * index])
  redis.call('PEXPIRE', KEYS[index], ARGV[2])
end
return 1
