-- reset: a new generation, an empty line; every old ticket and pass dies. Settings stay.
--
-- KEYS   3 denied places   4 the record
-- ARGV   1 nonce   2 the new generation   3..6 an entry, see note()
-- Returns verdict 1, 0 (the line is another by now, nothing done) or -1 (no such room), extra ''.
-- Atomic, because a ticket dealt in between would belong to neither life of the line.

if redis.call('EXISTS', line) == 0 then return {-1, '', clock, {}, {}} end
if tonumber(ARGV[2]) <= num('gen') or not note(KEYS[4], 3) then return reply(0, '', '0-0') end
local era = math.max(num('era') + 1, now_ms)
for _, field in ipairs(redis.call('HKEYS', line)) do
  if string.match(field, '^%a+:%d+$') then redis.call('HDEL', line, field) end
end
redis.call('DEL', history, KEYS[3])
redis.call('HSET', line, 'gen', ARGV[2], 'era', text(era), 'n', '0', 'nonce', ARGV[1], 'fence', reign(),
  'sv_era', text(era), 'sv_n', '0', 'before', '0', 'claimed', '0', 'slot', '0',
  'at', string.format('%.6f', now_ms / 1000))
redis.call('HDEL', line, 'mark', 'guests', 'canaries')
redis.call('HINCRBY', line, 'rev', 1)
redis.call('HINCRBY', line, 'denied_rev', 1)
return reply(1, '', '0-0')
