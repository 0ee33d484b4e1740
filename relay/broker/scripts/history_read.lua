-- Reads entries from an id on, up to a number of them and about a number of bytes, but one at the least.
-- KEYS: the log. ARGV: the id, how many, how many bytes. Returns the entries, as XRANGE does.

local from, left, bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local entries = {}
while left > 0 and bytes > 0 do
  local asked = math.min(left, 16)
  local found = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', asked)
  for _, entry in ipairs(found) do
    if bytes > 0 then
      entries[#entries + 1] = entry
      bytes = bytes - 64
      for _, field in ipairs(entry[2]) do
        bytes = bytes - #field
      end
    end
  end
  if #found < asked then
    break
  end
  left = left - asked
  from = '(' .. found[#found][1]
end
return entries
