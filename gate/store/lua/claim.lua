-- claim: marks a served place as claimed, unless its visit has ended.
--
-- KEYS   3 page of claimed bits   4 page of ended bits
-- ARGV   1 generation   2 era   3 position   4 offset in the page   5 bits a page   6 seconds the page lives
--        7 history seen   8 sv_era   9 sv_n    the pointer as the gate has shown it: what was shown is not taken back
-- Returns verdict 1 (claimed now or before), 0 (not served yet), -1 (another generation), -2 (ended), extra ''.
-- Atomic, because the pointer that is judged and the bit that is set must be of one moment.

if get('gen') ~= ARGV[1] then return reply(-1, '', ARGV[7]) end
local era, position = tonumber(ARGV[2]), tonumber(ARGV[3])
local function beyond(sv_era, sv_n) return era > sv_era or (era == sv_era and position > sv_n) end
-- Era 0 is the guests', who are before every line and are not counted with those who came from it.
if era > 0 and beyond(num('sv_era'), num('sv_n')) and beyond(tonumber(ARGV[8]), tonumber(ARGV[9])) then
  return reply(0, '', ARGV[7])
end
if redis.call('GETBIT', KEYS[4], ARGV[4]) == 1 then return reply(-2, '', ARGV[7]) end
if redis.call('EXISTS', KEYS[3]) == 0 then redis.call('SETBIT', KEYS[3], tonumber(ARGV[5]) - 1, 0) end
if redis.call('SETBIT', KEYS[3], ARGV[4], 1) == 0 and era > 0 then redis.call('HINCRBY', line, 'claimed', 1) end
redis.call('EXPIRE', KEYS[3], ARGV[6])
return reply(1, '', ARGV[7])
