-- mark: the last writer goes in good order; the next era need not wait for old tickets to show.
--
-- Returns verdict 1, or 0 where this reign has not dealt: nobody can say what was lost before it. Extra ''.
-- Law 1 never rests on the mark: a new reign opens a new era all the same.

if redis.call('EXISTS', line) == 0 then return {0, '', clock, {}, {}} end
if get('fence') ~= reign() then return reply(0, '', false) end
redis.call('HSET', line, 'mark', text(num('era')) .. ':' .. text(num('n')) .. ':' .. text(now_ms))
return reply(1, '', false)
