-- join: deals a number to each of a batch of visitors.
--
-- KEYS   3.. pre-ticket bitmaps
-- ARGV   1 evidence   2 gate_ms   3 nonce   4 hold_ms     see heal()
--        5.. triples, see deal()
-- Returns verdict 1 or 0 (no such room), extra: one code a visitor, in the order of arrival, in one text.
-- Atomic, because the fence, the pre-ticket's bit and the number must stand or fall together.

if redis.call('EXISTS', line) == 0 then return {0, '', clock, {}, {}} end
heal(ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]))
return reply(1, deal(5, places_left()), false)
