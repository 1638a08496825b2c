-- discount: the canary's visit is over; what it took of the line is given back.
--
-- ARGV   1 generation   2 1 if it took its turn, 0 if it never got there
-- Returns verdict 1, or 0 (another generation), extra ''.
-- Atomic, because the count, the claim and the release belong to one visit.

if get('gen') ~= ARGV[1] then return {0, '', clock, {}, {}} end
redis.call('HINCRBY', line, 'canaries', 1)
if ARGV[2] == '1' and num('claimed') > 0 then redis.call('HINCRBY', line, 'claimed', -1) end
-- The turn it used is owed to whoever waits: earned again, and bounded by the cap like all that is owed.
redis.call('HSET', line, 'at', string.format('%.6f', tonumber(get('at')) - 1 / num('rate')))
return reply(1, '', false)
