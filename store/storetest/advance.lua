-- advance: let time pass, by moving everything stored back in time. For tests, on a Redis of their own.
--
-- ARGV   1 ms; negative to have Redis's clock go back
-- reply  'OK'
local ms = tonumber(ARGV[1])

local function move(key)
  local left = redis.call('PTTL', key)
  if left < 0 then return true end
  if left <= ms then
    redis.call('DEL', key)
    return false
  end
  redis.call('PEXPIRE', key, left - ms)
  return true
end

-- unit is what a ms is in the scores of a sorted set: µs in the line, nothing where scores are no times.
local function unit(key)
  if string.find(key, '^queue:') then return 1000 end
  if string.find(key, '^wanted:') then return 0 end
  return 1
end

for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key)['ok']
  if move(key) and kind == 'hash' then
    for _, field in ipairs({ 'create_ms', 'grant_ms', 'deadline_ms', 'ended_ms' }) do
      if redis.call('HEXISTS', key, field) == 1 then redis.call('HINCRBY', key, field, -ms) end
    end
  elseif kind == 'zset' and unit(key) > 0 then
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ms * unit(key), member) end
  end
end

-- The numbers that were drawn before the clock went back are ahead of it.
if ms < 0 then
  for _, key in ipairs(redis.call('KEYS', 'fence:*')) do redis.call('INCRBY', key, -ms * 1000) end
end
return 'OK'
