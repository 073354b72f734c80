-- The guard, before the effect. KEYS[1] is the hash of the branch: `fence`, where its calls come from (`journal` and
-- `payload_digest`, each only once a call has said it), and one field per op: a word, a space, a text.
-- ARGV: op, role (forward, confirm, undo), fence, forward op, undo op, confirm op, milliseconds to keep (0: for ever), journal
-- and digest of the payload (empty: the call does not say), then the effect's own arguments. Answers are {word, text}.
local branch, op, role, fence = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local forward, undo, confirm, keep = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local raw = redis

local function recorded(of)
    local row = raw.call('HGET', branch, of)
    if not row then return nil, nil end
    local word, text = string.match(row, '^(%S+) (.*)$')
    return word, text
end

-- A reservation nobody has decided is kept whatever its age.
local function age()
    if keep == '0' then return end
    local reserved = recorded('try') == 'done' or recorded('prepare') == 'done'
    local ended = raw.call('HEXISTS', branch, 'confirm') + raw.call('HEXISTS', branch, 'cancel')
        + raw.call('HEXISTS', branch, 'commit') + raw.call('HEXISTS', branch, 'rollback')
    if reserved and ended == 0 then raw.call('PERSIST', branch) else raw.call('PEXPIRE', branch, keep) end
end

local function answer(word, text)
    age()
    return {word, text or ''}
end

local function note(of, word, text)
    raw.call('HSET', branch, of, word .. ' ' .. (text or ''))
end

-- Before anything is looked up or changed: what is on record from elsewhere is of another transaction.
for field, asked in pairs({journal = ARGV[8], payload_digest = ARGV[9]}) do
    local before = raw.call('HGET', branch, field)
    if asked ~= '' and before and before ~= asked then return {field, before} end
end
if ARGV[8] ~= '' then raw.call('HSET', branch, 'journal', ARGV[8]) end
if ARGV[9] ~= '' then raw.call('HSET', branch, 'payload_digest', ARGV[9]) end

local word, text = recorded(op)
local highest = tonumber(raw.call('HGET', branch, 'fence') or '0')
if word then return answer(word, text) end
if fence < highest then return {"fenced", raw.call("HGET", branch, "fence")} end
raw.call('HSET', branch, 'fence', ARGV[3])

if role == 'confirm' then
    local before = recorded(forward)
    if recorded(undo) then return answer('nothing', '') end
    if before == 'broken' then return answer('broken', 'its ' .. forward .. ' is half done') end
    if before == 'read_only' then
        note(op, 'done')
        return answer('done', '')
    end
    if before ~= 'done' then return answer('nothing', '') end
elseif role == 'undo' then
    local before = recorded(forward)
    if before == 'broken' then return answer('broken', 'its ' .. forward .. ' is half done') end
    if confirm ~= '' and recorded(confirm) then return answer('permanent', '') end
    if before ~= 'done' then
        note(op, 'done')
        if not before then note(forward, 'blocked') end
        return answer('done', '')
    end
end

-- What only reads. Whatever else the effect calls counts as a write.
local reads = {}
for name in string.gmatch([[GET MGET STRLEN GETRANGE EXISTS TYPE TTL PTTL HGET HMGET HGETALL HEXISTS HLEN HKEYS HVALS
    LLEN LRANGE LINDEX SISMEMBER SMISMEMBER SMEMBERS SCARD ZSCORE ZMSCORE ZCARD ZCOUNT ZRANGE ZRANK TIME]], '%u+') do
    reads[name] = true
end
local wrote = false
local function watched(call)
    return function(name, ...)
        if not reads[string.upper(name)] then wrote = true end
        return call(name, ...)
    end
end

local function effect(KEYS, ARGV)
    local redis = setmetatable({call = watched(raw.call), pcall = watched(raw.pcall)}, {__index = raw})
