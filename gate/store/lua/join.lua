-- join: deals a number to each of a batch of visitors.
--
-- KEYS   3.. pre-ticket bitmaps
-- ARGV   1 ev_era   2 ev_n   3 gate_ms   4 nonce   5 hold_ms   6.. triples, see deal()
-- Returns verdict 1 or 0 (no such room), extra: one code a visitor, in the order of arrival, in one text.
-- Atomic, because the fence, the pre-ticket's bit and the number must stand or fall together.

if redis.call('EXISTS', line) == 0 then return {0, '', clock, {}, {}} end
fence(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]))
return reply(1, deal(6, places_left()), false)
