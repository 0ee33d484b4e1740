-- Appends a contiguous run of one epoch to the log, entry by entry, each only where it belongs.
-- KEYS: the log. ARGV: epoch, offset of the first entry (0 is the boundary), the position before the
-- boundary ('' unknown), '1' to append the first entry wherever the log stands, the greatest length,
-- how long to keep it in ms, then time and event of each entry.
-- Returns how many entries were appended and the newest entry's id afterwards ('' if there is none).
--
-- An entry that is there already, or was and is trimmed, is passed over. At the first that does not follow the newest entry the
-- script stops: somebody has to append what lies between, or the caller has to force it, which is then
-- marked as a break.

local epoch, offset = tonumber(ARGV[1]), tonumber(ARGV[2])
local previous, force = ARGV[3], ARGV[4] == '1'
local newest, newest_epoch, newest_offset = '', 0, -1
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] then
  newest = last[1][1]
  local e, n = string.match(newest, '^(%d+)-(%d+)$')
  newest_epoch, newest_offset = tonumber(e), tonumber(n)
end

local function fields(index, follows)
  if offset == 0 then
    return follows and {'t', ARGV[index], 'p', previous} or {'t', ARGV[index]}
  end
  if follows then
    return {'t', ARGV[index], 'e', ARGV[index + 1]}
  end
  return {'t', ARGV[index], 'e', ARGV[index + 1], 'b', '1'}
end

local appended = 0
for index = 7, #ARGV, 2 do
  if newest_epoch < epoch or (newest_epoch == epoch and newest_offset < offset) then
    local follows
    if offset == 0 then
      follows = previous ~= '' and newest == previous
    else
      follows = newest_epoch == epoch and newest_offset == offset - 1
    end
    if not follows and not force then
      break
    end
    newest = string.format('%.0f-%.0f', epoch, offset)
    local added = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], newest, unpack(fields(index, follows)))
    if added.err and not string.find(added.err, 'equal or smaller', 1, true) then
      return added
    end
    newest_epoch, newest_offset = epoch, offset
    appended = appended + 1
    force = false
  end
  offset = offset + 1
end
if appended > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
end
return {appended, newest}
