-- reset: a new generation, an empty line; every old ticket and pass dies. Settings stay.
--
-- KEYS   3 denied places
-- ARGV   1 nonce
-- Returns verdict 1, or 0 (no such room), extra ''.
-- Atomic, because a ticket dealt in between would belong to neither life of the line.

if redis.call('EXISTS', line) == 0 then return {0, '', clock, {}, {}} end
local gen, era = math.max(num('gen') + 1, now_ms), math.max(num('era') + 1, now_ms)
for _, field in ipairs(redis.call('HKEYS', line)) do
  if string.match(field, '^%a+:%d+$') then redis.call('HDEL', line, field) end
end
redis.call('DEL', history, KEYS[3])
redis.call('HSET', line, 'gen', text(gen), 'era', text(era), 'n', '0', 'nonce', ARGV[1], 'fence', reign(),
  'sv_era', text(era), 'sv_n', '0', 'before', '0', 'claimed', '0', 'slot', '0',
  'at', string.format('%.6f', now_ms / 1000))
redis.call('HDEL', line, 'mark')
redis.call('HINCRBY', line, 'rev', 1)
redis.call('HINCRBY', line, 'denied_rev', 1)
return reply(1, '', '0-0')
