
end

local keys, args = {}, {}
for i = 2, #KEYS do keys[i - 1] = KEYS[i] end
for i = 10, #ARGV do args[i - 9] = ARGV[i] end
local ran, result, said = pcall(effect, keys, args)
if not ran then
    local message = type(result) == 'table' and (result.err or 'an error') or tostring(result)
    -- Redis does not roll back. What has not written may run again; what has must not.
    if not wrote then return answer('failed', message) end
    note(op, 'broken', message)
    return answer('broken', message)
end
if result == nil then result = 'done' end
said = said == nil and '' or tostring(said)
local no = result == 'refused' or result == 'ongoing'
if wrote and (no or not (result == 'done' or result == 'read_only')) then
    note(op, 'broken', tostring(result) .. ' after a write')
    return answer('broken', tostring(result) .. ' after a write')
end
if result == 'ongoing' then return answer('ongoing', said) end
if result == 'refused' and (op == 'action' or op == 'try' or op == 'prepare') then
    note(op, 'refused', said)
    return answer('refused', said)
end
if result == 'refused' then return answer('refused', said) end
if result == 'read_only' and op ~= 'prepare' then result = 'done' end
if result == 'done' or result == 'read_only' then
    note(op, result, said)
    return answer(result, said)
end
return answer('failed', 'the effect returned ' .. tostring(result))
