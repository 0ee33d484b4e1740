-- Opens an epoch: takes a number that was never used and tells every subscriber of the marker channel.
-- KEYS: the counter, the log; or none, while their slot is on its way to another node of a cluster.
-- ARGV: the marker channel, the newest epoch the caller knows, PUBLISH or SPUBLISH, and 1 if sentinels or
-- a cluster elect the master: then a replica publishes nothing.
-- Returns the epoch ('' if nothing was published), how many heard of it, why the counter could not be
-- stored ('' if it was), and 1 if neither the caller nor Redis knows an earlier epoch, else 0.
--
-- Epochs are times in microseconds. After a failover two servers may hand them out for a while, and then
-- one number for two epochs would give two messages one id. The finer the time, the rarer that is.
--
-- Every command is a pcall: where Redis refuses to write, markers are still published, and time or the
-- caller's own knowledge keeps the epochs growing.

-- The counter matters where the clock was set back; a channel that nobody opens is forgotten in time.
local KEEP_SECONDS = 24 * 3600

local function epoch_of(id)
  return tonumber(string.match(id, '^(%d+)')) or 0
end

local time = redis.call('TIME')
local epoch = math.max(time[1] * 1000000 + time[2], tonumber(ARGV[2]) + 1)
local stored, first = {}, 0
if KEYS[1] then
  local counter = redis.pcall('GET', KEYS[1])
  if type(counter) == 'string' then
    epoch = math.max(epoch, epoch_of(counter) + 1)
  end
  local newest = redis.pcall('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
  if not newest.err and newest[1] then
    epoch = math.max(epoch, epoch_of(newest[1][1]) + 1)
  end
  if ARGV[2] == '0' and counter == false and not newest.err and not newest[1] then
    first = 1
  end
  stored = redis.pcall('SET', KEYS[1], string.format('%.0f', epoch), 'EX', KEEP_SECONDS)
end
if ARGV[4] == '1' and stored.err and string.find(stored.err, '^-?READONLY') then
  return {'', 0, stored.err, 0}
end
local text = string.format('%.0f', epoch)
local heard = redis.call(ARGV[3], ARGV[1], text)
return {text, heard, stored.err or '', first}
