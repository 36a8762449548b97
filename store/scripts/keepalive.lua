-- keepalive: extend an active lease to now + TTL, never past its deadline. This is by far the most frequent script, so the usual
-- case comes first, before what the scripts share is even defined; the rest of it is in keepalive_other.lua.
--
-- KEYS   as in the prelude
-- ARGV   1 id
-- reply  report of an outcome
--        renewed     …: ms it now expires, ms of its deadline, TTL ms
--        not_found
--        pending     it waits in line
--        ended       …: reason, ms it ended
do
  local id = ARGV[1]
  local f = redis.call('HMGET', KEYS[2] .. id, 'state', 'devices', 'ttl_ms', 'grace_ms', 'deadline_ms')
  if f[1] == 'active' then
    local clock = redis.call('TIME')
    local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
    local ttl, grace, deadline = tonumber(f[3]), tonumber(f[4]), tonumber(f[5])
    local held, late = deadline > now, 0
    for device in string.gmatch(f[2], '%S+') do
      local left = held and redis.call('GET', KEYS[1] .. device) == id and redis.call('PTTL', KEYS[1] .. device) or 0
      held, late = left > 0, math.max(late, grace - left)
    end
    if held then
      local expire = math.min(now + ttl, deadline)
      for device in string.gmatch(f[2], '%S+') do
        redis.call('PEXPIRE', KEYS[1] .. device, string.format('%.0f', expire - now + grace))
      end
      redis.call('ZADD', KEYS[6], string.format('%.0f', expire + grace), id)
      if late > 0 then
        redis.pcall('XADD', KEYS[10], 'MAXLEN', '~', 10000, '*', 'type', 'renewed_late', 'lease', id, 'late_ms',
          string.format('%.0f', late))
      end
      return { 'renewed', now, {}, {}, 0, expire, deadline, ttl }
    end
  end
end
