-- finish: a place's visit is over, before its pass would have ended.
--
-- KEYS   3 page of ended bits   4 denied places
-- ARGV   1 offset in the page   2 bits a page   3 seconds the page lives
--        4 'era:position' to deny at once in every gate, or ''   5 until when (ms)   6 most places denied
-- Returns verdict 1 (was not over), 0 (was over already), extra ''.
-- Atomic, because the one last request of a pass past its cap is spent on the bit's first setting.

if redis.call('EXISTS', line) == 0 then return {0, '', clock, {}, {}} end
if redis.call('EXISTS', KEYS[3]) == 0 then redis.call('SETBIT', KEYS[3], tonumber(ARGV[2]) - 1, 0) end
local was = redis.call('SETBIT', KEYS[3], ARGV[1], 1)
redis.call('EXPIRE', KEYS[3], ARGV[3])
if ARGV[4] ~= '' then
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', text(now_ms))
  redis.call('ZADD', KEYS[4], ARGV[5], ARGV[4])
  redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -tonumber(ARGV[6]) - 1)
  redis.call('HINCRBY', line, 'denied_rev', 1)
end
return reply(1 - was, '', false)
