-- admit: deals numbers and releases them in the same breath, if nobody waits and the line is as the gate read it.
--
-- KEYS   3.. pre-ticket bitmaps
-- ARGV   1 generation   2 sv_era   3 sv_n   4 at   5 rev     the line that `idle_places` was worked out on
--        6 paid: `at` if nobody were released now
--        7 when that was worked out   8 the least `paid` then, see bounded()
--        9 the era to serve from   10 the eras left behind, see may_step()
--        11 evidence   12 gate_ms   13 nonce   14 hold_ms      see heal()
--        15.. triples, see deal()
-- Returns verdict 1 (done), 0 (the line is another by now, nothing dealt), extra: one code a visitor, in one text.
-- Atomic, because a number dealt here must be released here or not be dealt at all.

if redis.call('EXISTS', line) == 0 then return {0, '', clock, {}, {}} end
heal(ARGV[11], tonumber(ARGV[12]), ARGV[13], tonumber(ARGV[14]))
local same = get('gen') == ARGV[1] and get('sv_era') == ARGV[2] and get('sv_n') == ARGV[3] and get('at') == ARGV[4]
  and get('rev') == ARGV[5] and get('era') == ARGV[9]
local served_to = (ARGV[9] == ARGV[2]) and tonumber(ARGV[3]) or 0
if not same or num('n') ~= served_to or not may_step(ARGV[10], num('era')) then return reply(0, '', false) end
local before = num('n')
local codes = deal(15, places_left())
local dealt = num('n') - before
if dealt > 0 then
  serve(num('era'), num('n'))
  local paid = dealt / num('rate')
  redis.call('HSET', line, 'at', bounded(tonumber(ARGV[6]) + paid, ARGV[7], tonumber(ARGV[8]) + paid))
end
return reply(1, codes, false)
