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
  local id, tag, call = ARGV[1], KEYS[1], redis.call
  local f = call('HMGET', 'lease' .. tag .. ':' .. id, 'state', 'devices', 'ttl_ms', 'grace_ms', 'deadline_ms')
  if f[1] == 'active' then
    local clock = call('TIME')
    local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
    local ttl, grace, deadline = tonumber(f[3]), tonumber(f[4]), tonumber(f[5])
    local held, late, locks = deadline > now, 0, {}
    for device in string.gmatch(f[2], '%S+') do
      local lock = 'lock' .. tag .. ':' .. device
      local left = held and call('GET', lock) == id and call('PTTL', lock) or 0
      held, late = left > 0, math.max(late, grace - left)
      locks[#locks + 1] = lock
    end
    if held then
      local expire = math.min(now + ttl, deadline)
      for _, lock in ipairs(locks) do call('PEXPIRE', lock, expire - now + grace) end
      call('ZADD', 'active' .. tag, expire + grace, id)
      if late > 0 then
        redis.pcall('XADD', 'events' .. tag, 'MAXLEN', '~', '10000', '*', 'type', 'renewed_late', 'lease', id, 'late_ms', late)
      end
      return { 'renewed', now, false, false, 0, expire, deadline, ttl }
    end
  end
end
