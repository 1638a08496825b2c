-- open: makes a room that is not there, begins an era if this reign has not dealt yet, and gives back what was lost.
--
-- KEYS   3 the record
-- ARGV   1 evidence   2 gate_ms   3 nonce   4 hold_ms    see heal()
--        5 generation for a new room   6 the revision that the settings are of (0: the file's)   7 history seen
--        8..11 the entry that begins a new room's record, see note()
--        12.. field, value, ...         settings, for a room that is new or has lost that revision
-- Returns verdict 1 (made) or 0 (was there), extra ''.
-- Atomic, because two gates that start together must agree on one generation and one era.

local made = 0
if redis.call('EXISTS', line) == 0 then
  made = 1
  redis.call('HSET', line, 'gen', ARGV[5], 'era', '0', 'n', '0', 'sv_era', '0', 'sv_n', '0', 'before', '0',
    'at', ARGV[4] == '0' and '0' or seconds(now_ms), 'rev', '1', 'claimed', '0', 'denied_rev', '0', 'slot', '0')
  redis.call('DEL', KEYS[3])
  note(KEYS[3], 8)
end
heal(ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]))
local of_generation = tonumber(string.match(ARGV[1], '^%d+')) == num('gen')
if made == 1 or (of_generation and num('rev') < tonumber(ARGV[6])) then
  for i = 12, #ARGV, 2 do redis.call('HSET', line, ARGV[i], ARGV[i + 1]) end
  redis.call('HSET', line, 'rev', text(math.max(num('rev'), tonumber(ARGV[6]))))
end
-- A room that is new with its keys has nothing to wait for; its first era is served from the start.
if made == 1 and tonumber(ARGV[4]) == 0 then serve(num('era'), 0) end
return reply(made, '', ARGV[7])
