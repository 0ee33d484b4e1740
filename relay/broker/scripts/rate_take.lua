-- Takes tokens from a bucket that fills evenly.
-- KEYS: the bucket. ARGV: tokens per second, the most it holds, how many to take.
-- Returns 0, or how many microseconds to wait until there are enough; then nothing is taken.
--
-- The bucket is one number: the time in microseconds at which it will be full (GCRA, the "generic cell
-- rate algorithm"). A time that no bucket can have is one of a clock since set back.

local per_second, most, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local room = math.ceil(most * 1000000 / per_second)
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
full_at = math.min(math.max(full_at, now), now + room) + math.ceil(wanted * 1000000 / per_second)
if full_at > now + room then
  return full_at - now - room
end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
return 0
