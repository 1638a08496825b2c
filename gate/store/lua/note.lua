-- note: appends to the record what changes no number of the line, and counts a guest's link.
--
-- KEYS   3 the record
-- ARGV   1 generation   2 a field to raise by one, or ''   3..6 an entry, see note()
-- Returns verdict 1, 0 (the line is another by now, nothing done) or -1 (no such room), extra ''.
-- Atomic, because the number that is noted and the number that is counted are one.

if redis.call('EXISTS', line) == 0 then return {-1, '', clock, {}, {}} end
if get('gen') ~= ARGV[1] or not note(KEYS[3], 3) then return reply(0, '', false) end
if ARGV[2] ~= '' then redis.call('HINCRBY', line, ARGV[2], 1) end
return reply(1, '', false)
