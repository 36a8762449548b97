-- keepalive: extend active leases to now + TTL, never past their deadlines. This is by far the most frequent script: so the usual case
-- comes first, before what the scripts share is even defined, and it takes several leases (see pipeline.go). The rest, for one lease, is in
-- keepalive_other.lua.
--
-- KEYS   as in the prelude
-- ARGV   ids
-- reply  of one lease: report of an outcome
--        renewed     …: ms it now expires, ms of its deadline, TTL ms
--        not_found
--        pending     it waits in line
--        ended       …: reason, ms it ended
--        of several: renewed, and these three of each; or three times false of one that is to be asked for alone: when it is not
--        renewed, or when the leases before it have 128 devices, which is enough for one script
do
  local tag, call = KEYS[1], redis.call
  local LEASE, LOCK = 'lease' .. tag .. ':', 'lock' .. tag .. ':'
  local clock = call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  local reply, active, many = { 'renewed', now, false, false, 0 }, {}, 0
  for i, id in ipairs(ARGV) do
    local f = call('HMGET', LEASE .. id, 'state', 'devices', 'ttl_ms', 'grace_ms', 'deadline_ms')
    local ttl, grace, deadline = tonumber(f[3]), tonumber(f[4]), tonumber(f[5])
    local held, late, locks = f[1] == 'active' and deadline > now and many < 128, 0, {}
    for device in string.gmatch(held and f[2] or '', '%S+') do
      local lock = LOCK .. device
      local left = held and call('GET', lock) == id and call('PTTL', lock) or 0
      held, late = left > 0, math.max(late, grace - left)
      locks[#locks + 1] = lock
    end
    many = many + #locks
    local at = 3 * i + 2
    reply[at + 1], reply[at + 2], reply[at + 3] = false, false, false
    if held then
      local expire = math.min(now + ttl, deadline)
      for _, lock in ipairs(locks) do call('PEXPIRE', lock, expire - now + grace) end
      active[#active + 1] = expire + grace
      active[#active + 1] = id
      if late > 0 then
        redis.pcall('XADD', 'events' .. tag, 'MAXLEN', '~', '10000', '*', 'type', 'renewed_late', 'lease', id, 'late_ms', late)
      end
      reply[at + 1], reply[at + 2], reply[at + 3] = expire, deadline, ttl
    end
  end
  if active[1] then call('ZADD', 'active' .. tag, unpack(active)) end
  if ARGV[2] or active[1] then return reply end
end
