-- reset: a new generation, an empty line; every old ticket and pass dies. Settings stay.
--
-- KEYS   3 denied places   4 the record
-- ARGV   1 nonce   2 the new generation   3..6 an entry, see note()
-- Returns verdict 1, 0 (the line is another by now, nothing done) or -1 (no such room), extra ''.
-- Atomic, because a ticket dealt in between would belong to neither life of the line.

if redis.call('EXISTS', line) == 0 then return {-1, '', clock, {}, {}} end
if tonumber(ARGV[2]) <= num('gen') or not note(KEYS[4], 3) then return reply(0, '', '0-0') end
local era = math.max(num('era') + 1, now_ms)
begin_generation(tonumber(ARGV[2]))
redis.call('DEL', KEYS[3])
redis.call('HSET', line, 'era', text(era), 'nonce', ARGV[1], 'fence', reign(), 'sv_era', text(era))
return reply(1, '', '0-0')
