-- Publishes messages on a channel, unless it was done before.
-- KEYS: how the next one begins, so that a cluster runs this at the master of the channel; where the
-- result is kept, or nothing. ARGV: the channel, how long to keep the result in s, PUBLISH or SPUBLISH, the messages.
-- Returns 1 if it was done before, how many messages were published, how many subscribers took the last.
--
-- The result is stored before the first message is sent: where Redis refuses to write, nothing is sent,
-- and the client may try again. A channel that may not be published on is refused at the first message.

if KEYS[2] then
  local before = redis.call('GET', KEYS[2])
  if before then
    local number, subscribers = string.match(before, '^(%d+) (%d+)$')
    return {1, tonumber(number), tonumber(subscribers)}
  end
  redis.call('SET', KEYS[2], '0 0', 'EX', ARGV[2])
end

local subscribers = 0
for index = 4, #ARGV do
  subscribers = redis.pcall(ARGV[3], ARGV[1], ARGV[index])
  if type(subscribers) == 'table' then
    if KEYS[2] then
      redis.call('DEL', KEYS[2])
    end
    return subscribers
  end
end

if KEYS[2] then
  redis.call('SET', KEYS[2], (#ARGV - 3) .. ' ' .. subscribers, 'EX', ARGV[2])
end
return {0, #ARGV - 3, subscribers}
