-- Reads the newest messages before an id, and the boundaries between them.
-- KEYS: the log. ARGV: the id ('' for the newest), how many messages, how many bytes of entries.
-- Returns the entries, newest first; the first entry from the id on ({} if there is none); and '1' if an
-- older message is kept.
--
-- Ends after the message that reaches the bytes, so there is one at the least. A boundary is no message;
-- after SPARE of them the script ends as well, and says that there is more.

local SPARE = 1000

local before, wanted, bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local spare, largest = SPARE, bytes
local entries, older = {}, '0'
local last = before == '' and '+' or '(' .. before

local function size_of(entry)
  local size = 64
  for _, field in ipairs(entry[2]) do
    size = size + #field
  end
  return size
end

local function take(entry)
  local full = wanted <= 0 or bytes <= 0
  if string.find(entry[1], '-0', 1, true) then
    spare = spare - 1
  elseif full then
    older = '1'
  else
    local size = size_of(entry)
    largest = #entries == 0 and size or math.max(largest, size)
    wanted = wanted - 1
    bytes = bytes - size
  end
  if not full then
    entries[#entries + 1] = entry
  end
end

while older == '0' and spare > 0 do
  -- No more at a time than seem to fit: entries that are not returned are work as well.
  local asked = math.max(math.min(wanted, 16, math.floor(bytes / largest)), 1)
  local found = redis.call('XREVRANGE', KEYS[1], last, '-', 'COUNT', asked)
  for _, entry in ipairs(found) do
    take(entry)
  end
  if #found < asked then
    break
  end
  last = '(' .. found[#found][1]
end
if spare <= 0 then
  older = '1'
end
local follower = {}
if before ~= '' then
  follower = redis.call('XRANGE', KEYS[1], before, '+', 'COUNT', 1)[1] or {}
end
return {entries, follower, older}
