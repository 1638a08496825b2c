-- What all verbs share; put before each of them when it is loaded.
--
-- KEYS[1] is always the room's line, KEYS[2] its history. The line's fields:
--   gen, era, n, nonce      generation; newest era, its last position and its nonce
--   fence                   the reign (run_id:master_replid) that dealt last
--   sv_era, sv_n, at        the pointer, and up to when release was paid out (text, seconds)
--   span                    how long a new era is held (ms)
--   before                  places of this generation dealt in eras older than the newest
--   end:E, nonce:E, hold:E  of eras from the served one on: last position, nonce, when it may be stepped into (ms)
--   rate, burst, mode, max_issued, message, rev, seed   as operators set them
--   claimed, denied_rev, slot, mark
--   guests, canaries        places outside the line: links for staff and press; the canary's, not counted
--   log, log_since          the record's head 'number:digest', and the last entry dropped for its age
-- Times are milliseconds of this server's TIME. A place is (gen, era, n), compared in that order.

local SLOT_MS = 10000
local MARK_MS = 60000
local HISTORY_ROWS = 9000
local line, history = KEYS[1], KEYS[2]

local function text(number) return string.format('%.0f', number) end
local function seconds(ms) return string.format('%.6f', ms / 1000) end

local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function get(field) return redis.call('HGET', line, field) end
local function num(field) return tonumber(get(field) or '0') or 0 end

-- Law 4 counts from the moment of writing: what was worked out a moment ago (`now`) must not leave more behind than a
-- full bank of this moment, which is `least` and as much later. Hours later it is another clock, as after a leap.
local function bounded(at, now, least)
  local late = now ~= '' and tonumber(clock[1]) + tonumber(clock[2]) / 1000000 - tonumber(now) or 0
  if late > 0 and late < 3600 then at = math.max(at, least + late) end
  return string.format('%.6f', at)
end

-- One row a slot in which something moved, written when the next slot begins to move: the moment a place was
-- served is then the same for whoever asks, and an idle room writes nothing.
local function note_slot()
  local slot, now_slot = num('slot'), math.floor(now_ms / SLOT_MS)
  if now_slot <= slot then return end
  if slot > 0 then
    -- A stream that is ahead of the line (a restore of one without the other) keeps what it has.
    redis.pcall('XADD', history, 'MAXLEN', '~', HISTORY_ROWS, text((slot + 1) * SLOT_MS) .. '-1',
      'r', table.concat({get('sv_era'), get('sv_n'), get('era'), get('n')}, ','))
  end
  redis.call('HSET', line, 'slot', text(now_slot))
end

local function reign()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') .. ':' ..
    string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
end

-- A generation begins: of the one before nothing is left but what operators set.
local function begin_generation(generation)
  for _, field in ipairs(redis.call('HKEYS', line)) do
    if string.match(field, '^%a+:%d+$') then redis.call('HDEL', line, field) end
  end
  redis.call('DEL', history)
  redis.call('HSET', line, 'gen', text(generation), 'era', '0', 'n', '0', 'nonce', '', 'fence', '', 'sv_era', '0',
    'sv_n', '0', 'before', '0', 'claimed', '0', 'slot', '0', 'at', seconds(now_ms))
  redis.call('HDEL', line, 'mark', 'guests', 'canaries')
  redis.call('HINCRBY', line, 'rev', 1)
  redis.call('HINCRBY', line, 'denied_rev', 1)
end

-- What a gate knows of an older era: its end, and that it was there at all. One that the store had lost is held for
-- as long as a new one, so that what else was lost with it has time to show.
local function remember(era, last, hold_ms)
  local known = tonumber(get('end:' .. text(era)) or '-1')
  if last <= known then return end
  redis.call('HSET', line, 'end:' .. text(era), text(last), 'before', text(num('before') + last - math.max(known, 0)))
  if known < 0 and era > num('sv_era') then redis.call('HSET', line, 'hold:' .. text(era), text(now_ms + hold_ms)) end
end

-- Whether the last writer left in good order a moment ago, and nothing came after. An old mark may come back with a
-- backup, and proves nothing.
local function stopped_well(era, n)
  local left = tonumber(string.match(get('mark') or '', '^' .. text(era) .. ':' .. text(n) .. ':(%d+)$') or '-1')
  return left >= 0 and left <= now_ms and now_ms - left <= MARK_MS
end

-- No era that is still to come may be stepped into before then.
local function hold_all(until_ms)
  for _, field in ipairs(redis.call('HKEYS', line)) do
    local era = tonumber(string.match(field, '^end:(%d+)$') or '-1')
    if era > num('sv_era') then redis.call('HSET', line, 'hold:' .. text(era), text(until_ms)) end
  end
end

-- Law 1. The first deal of a reign, or evidence of more than the store knows, opens a new era: numbers that may have
-- been lost are never dealt again, and old places sort first. Evidence of a later generation is adopted.
-- evidence: 'generation era:position ...', oldest first, what the gate knows to be dealt; gate_ms: its clock;
-- nonce: 64 random bits; hold_ms: how long old tickets have to show before a new era may be stepped into (where the
-- last writer left a mark, only for what is left of the hold before).
local function heal(evidence, gate_ms, nonce, hold_ms)
  local generation = tonumber(string.match(evidence, '^%d+'))
  if generation > num('gen') then begin_generation(generation) end
  local era, n, sv_era, top_era, top_n = num('era'), num('n'), num('sv_era'), 0, 0
  local older = {}
  if generation == num('gen') then
    for e, last in string.gmatch(evidence, '(%d+):(%d+)') do
      top_era, top_n = tonumber(e), tonumber(last)
      if top_era >= sv_era and top_era ~= era then older[#older + 1] = {top_era, top_n} end
      if top_era == era and top_n > n then n = top_n end
    end
  end
  local crowned = reign()
  local reborn = get('fence') ~= crowned
  if reborn or top_era > era or n > num('n') then
    local fresh = math.max(era + 1, top_era + 1, now_ms, gate_ms)
    local held = stopped_well(era, n) and num('hold:' .. text(era)) or now_ms + hold_ms
    if era >= sv_era then
      redis.call('HSET', line, 'end:' .. text(era), text(n), 'nonce:' .. text(era), get('nonce') or '')
    end
    -- A store that went back has holds of then; whoever was lost with it has as long to show as in a new era.
    if reborn and held > now_ms then hold_all(held) end
    redis.call('HSET', line, 'era', text(fresh), 'n', '0', 'nonce', nonce, 'fence', crowned,
      'before', text(num('before') + n), 'hold:' .. text(fresh), text(held), 'span', text(hold_ms))
    redis.call('HDEL', line, 'mark')
  end
  for _, one in ipairs(older) do remember(one[1], one[2], hold_ms) end
end

-- Deals a number to each of the batch, in the order it arrived, from ARGV[first]: triples of a pre-ticket
-- bitmap's index in KEYS (0: none needed), its bit, and the milliseconds at which the bitmap may go.
-- Returns one code each: a position, 0 where nothing is dealt, -1 where the pre-ticket was spent already.
local function deal(first, left)
  local codes, n, expires = {}, num('n'), {}
  for i = first, #ARGV, 3 do
    local bitmap, bit, code = KEYS[tonumber(ARGV[i])], ARGV[i + 1], 0
    if left > 0 then
      if bitmap and redis.call('SETBIT', bitmap, bit, 1) == 1 then
        code = -1
      else
        n, left, code = n + 1, left - 1, n + 1
      end
      if bitmap then expires[bitmap] = ARGV[i + 2] end
    end
    codes[#codes + 1] = code
  end
  for bitmap, at in pairs(expires) do redis.call('PEXPIREAT', bitmap, at) end
  if n > num('n') then
    note_slot()
    redis.call('HSET', line, 'n', text(n))
    redis.call('HDEL', line, 'mark')
  end
  return table.concat(codes, ' ')
end

-- Moves the pointer, forwards only, and forgets what concerns only eras that are passed.
local function serve(era, n)
  local old_era, old_n = num('sv_era'), num('sv_n')
  if era < old_era or (era == old_era and n <= old_n) then return end
  note_slot()
  redis.call('HSET', line, 'sv_era', text(era), 'sv_n', text(n))
  if era == old_era then return end
  for _, field in ipairs(redis.call('HKEYS', line)) do
    local passed = string.match(field, '^%a+:(%d+)$')
    if passed and tonumber(passed) < era then redis.call('HDEL', line, field) end
  end
end

-- Whether the pointer may step into `target`: its hold is over, and each era left behind is over as the store knows it
-- by now, not only as the gate knew it. left: 'era:last ...' from the era of the gate's pointer on; '' for no step.
local function may_step(left, target)
  if left == '' then return true end
  local ends = {}
  for era, last in string.gmatch(left, '(%d+):(%d+)') do ends[tonumber(era)] = tonumber(last) end
  local from = tonumber(string.match(left, '^%d+'))
  for _, field in ipairs(redis.call('HKEYS', line)) do
    local era = tonumber(string.match(field, '^end:(%d+)$') or '-1')
    if era >= from and era < target and num(field) > (ends[era] or -1) then return false end
  end
  local held = num('hold:' .. text(target))
  return now_ms >= held or held > now_ms + 2 * num('span')  -- the latter is of a clock that has gone back since
end

-- Appends an entry to the room's record, if the chain still ends where the gate saw it end; whether it did.
-- ARGV[first]: the head it follows, the head it makes, its text, and how long entries are kept (ms).
local function note(record, first)
  local head, entry, keep_ms = ARGV[first + 1], ARGV[first + 2], tonumber(ARGV[first + 3])
  if (get('log') or '') ~= ARGV[first] then return false end
  -- An entry's number is its id, so that any part of the record is found without reading what is before it.
  local number = tonumber(string.match(head, '^%d+'))
  redis.call('XADD', record, text(number) .. '-0', 'head', head, 'text', entry, 'at', text(now_ms))
  redis.call('HSET', line, 'log', head)
  for _, old in ipairs(redis.call('XRANGE', record, '-', '(' .. text(number) .. '-0', 'COUNT', 20)) do
    if tonumber(old[2][6]) + keep_ms >= now_ms then break end
    redis.call('HSET', line, 'log_since', old[2][2])
    redis.call('XDEL', record, old[1])
  end
  return true
end

-- How many places may still be dealt in this generation; the canary's are nobody's.
local function places_left()
  local most = get('max_issued')
  if get('mode') == 'closed' then return 0 end
  if not most or most == '' then return math.huge end
  return math.max(tonumber(most) + num('canaries') - num('before') - num('n'), 0)
end

-- The whole room, so that every call is also the next snapshot: verdict, extra, TIME, fields, rows after `seen`.
local function reply(verdict, extra, seen)
  local rows = {}
  if seen then rows = redis.call('XRANGE', history, '(' .. seen, '+', 'COUNT', 10000) end
  return {verdict, extra, clock, redis.call('HGETALL', line), rows}
end

if redis.call('TYPE', line).ok == 'hash' and not get('gen') then return redis.error_reply('BADROOM no generation') end
