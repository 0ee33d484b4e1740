-- Drops entries that are too old, at most a thousand at a time, but never the newest one: what is
-- appended next must find it (history_append.lua).
-- KEYS: the log. ARGV: how long to keep an entry, in ms. Returns how many were dropped.

local time = redis.call('TIME')
local oldest = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[1])
local dropped = 0
for _ = 1, 10 do
  local entries = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 101)
  local old = {}
  for index = 1, #entries - 1 do
    if tonumber(entries[index][2][2]) >= oldest then
      break
    end
    old[index] = entries[index][1]
  end
  if #old == 0 then
    break
  end
  dropped = dropped + redis.call('XDEL', KEYS[1], unpack(old))
end
return dropped
