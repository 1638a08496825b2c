-- advance: moves the pointer, and sets what an operator changed, if the line is as the gate read it.
--
-- KEYS   3 the record
-- ARGV   1 generation   2 sv_era   3 sv_n   4 at   5 rev     the line that `plan` or `settle` was worked out on
--        6 new sv_era   7 new sv_n   8 new at                '' for 8: nothing to write, only read
--        9 when that was worked out   10 the least `at` then, see bounded()
--        11 the eras left behind, see may_step()
--        12 history seen   13..16 an entry, see note(), or ''  what an operator did
--        17.. field, value, ...                              settings; any of them raises the revision
-- Returns verdict 1 (written), 0 (the line is another by now, nothing written), -1 (no such room), -2 (this reign of the
-- store has not been opened yet, so nobody can say that an era is over: open it first), extra ''.
-- Atomic: every gate ticks, and the pointer moves once. It never goes back and never passes the end of its era.
-- `n` is not compared, or joins would starve every tick.

if redis.call('EXISTS', line) == 0 then return {-1, '', clock, {}, {}} end
if ARGV[8] == '' then return reply(1, '', ARGV[12]) end
local same = get('gen') == ARGV[1] and get('sv_era') == ARGV[2] and get('sv_n') == ARGV[3] and get('at') == ARGV[4]
  and get('rev') == ARGV[5]
local era = tonumber(ARGV[6])
local last = (era == num('era')) and num('n') or tonumber(get('end:' .. text(era)) or '-1')
if not same or last < 0 then return reply(0, '', ARGV[12]) end
if ARGV[11] ~= '' then
  if get('fence') ~= reign() then return reply(-2, '', ARGV[12]) end
  if not may_step(ARGV[11], era) then return reply(0, '', ARGV[12]) end
end
if ARGV[15] ~= '' and not note(KEYS[3], 13) then return reply(0, '', ARGV[12]) end

serve(era, math.min(tonumber(ARGV[7]), last))
redis.call('HSET', line, 'at', bounded(tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])))
for i = 17, #ARGV, 2 do redis.call('HSET', line, ARGV[i], ARGV[i + 1]) end
if #ARGV >= 17 then redis.call('HINCRBY', line, 'rev', 1) end
return reply(1, '', ARGV[12])
