-- Takes a link to the operator's page, so that nobody takes it again.
-- KEYS: the link.
-- Returns what was kept of it, or nothing where there is none.

local kept = redis.call('GET', KEYS[1])
if kept then
  redis.call('DEL', KEYS[1])
end
return kept
