-- open: makes a room that is not there, and begins an era if this reign has not dealt yet.
--
-- KEYS   3 the record
-- ARGV   1 generation for a new room   2 gate_ms   3 nonce   4 hold_ms   5 ev_era   6 ev_n   7 history seen
--        8..11 the entry that begins a new room's record, see note()
--        12.. field, value, ...         settings for a new room
-- Returns verdict 1 (made) or 0 (was there), extra ''.
-- Atomic, because two gates that start together must agree on one generation and one era.

local made = 0
if redis.call('EXISTS', line) == 0 then
  made = 1
  redis.call('HSET', line, 'gen', ARGV[1], 'era', '0', 'n', '0', 'sv_era', '0', 'sv_n', '0', 'before', '0',
    'at', ARGV[4] == '0' and '0' or string.format('%.6f', now_ms / 1000), 'rev', '1', 'claimed', '0', 'denied_rev', '0', 'slot', '0')
  for i = 12, #ARGV, 2 do redis.call('HSET', line, ARGV[i], ARGV[i + 1]) end
  redis.call('DEL', KEYS[3])
  note(KEYS[3], 8)
end
fence(tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]))
-- A room that is new with its keys has nothing to wait for; its first era is served from the start.
if made == 1 and tonumber(ARGV[4]) == 0 then serve(num('era'), 0) end
return reply(made, '', ARGV[7])
