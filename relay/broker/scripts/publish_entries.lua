-- Adds entries to a stream, unless it was done before, and trims it.
-- KEYS: the stream; where the result is kept, or nothing. ARGV: how long to keep the result in s; about how many
-- entries to keep, or 0 for all; for about how many ms to keep them, or 0; then of each entry the number of its
-- words, and the words.
-- Returns 1 if it was done before, and how many entries were added.
--
-- The result is stored before the first entry is added: where Redis refuses to write, nothing is added, and the
-- client may try again. A key that is no stream is refused at the first entry.

if KEYS[2] then
  local before = redis.call('GET', KEYS[2])
  if before then
    return {1, tonumber(before)}
  end
  redis.call('SET', KEYS[2], '0', 'EX', ARGV[1])
end

local added, index = 0, 4
while index <= #ARGV do
  local last = index + tonumber(ARGV[index])
  local words = {'XADD', KEYS[1]}
  if ARGV[2] ~= '0' then
    words = {'XADD', KEYS[1], 'MAXLEN', '~', ARGV[2]}
  end
  words[#words + 1] = '*'
  for place = index + 1, last do
    words[#words + 1] = ARGV[place]
  end
  local answer = redis.pcall(unpack(words))
  if type(answer) == 'table' and answer.err then
    if KEYS[2] then
      redis.call('DEL', KEYS[2])
    end
    return answer
  end
  added, index = added + 1, last + 1
end

if ARGV[3] ~= '0' then
  local now = redis.call('TIME')
  local oldest = tonumber(now[1]) * 1000 - tonumber(ARGV[3])
  redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', math.max(oldest, 0)))
end
if KEYS[2] then
  redis.call('SET', KEYS[2], added, 'EX', ARGV[1])
end
return {0, added}
