-- Forgets a channel soon that nobody listens to any more and that never had a message: clients choose
-- the names of a pattern, so what each leaves behind must not stay for a day.
-- KEYS: the history, the counter. ARGV: the marker channel, how long to keep both,
-- in ms, and NUMSUB, or SHARDNUMSUB of a sharded channel.
-- Returns 1 if they are forgotten soon, else 0.
--
-- The process that calls may still be subscribed itself. Where Redis denies PUBSUB, nothing is forgotten.

local LOOKED_AT = 32

local listening = redis.pcall('PUBSUB', ARGV[3], ARGV[1])
if listening.err or tonumber(listening[2]) > 1 then
  return 0
end
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', LOOKED_AT)
for _, entry in ipairs(newest) do
  if entry[2][3] == 'e' then
    return 0
  end
end
if #newest == LOOKED_AT then
  return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
