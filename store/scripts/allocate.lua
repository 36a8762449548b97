-- allocate: grant a lease, or have it wait in line; the same id again is the same lease. Here is the usual case: a new lease of
-- one device, while nobody waits, nothing is due and grants are not paused. The rest is in allocate_refuse.lua and allocate_other.lua.
--
-- ARGV   1 id, 2 digest of the request, 3 TTL ms, 4 longest hold ms, 5 grace ms, 6 holder, 7 purpose, 8 link, 9 demands as
--        asked, 10 wants, 11 how many devices match any, 12 priority, 13 ms of waiting that count as a step of priority,
--        14 ms that it waits without being asked for, 15 '1' to wait, 16 and 17 the most leases and devices that the holder
--        may have or wait for (0 for no limit)
-- reply  report of an outcome
--        granted | waits | existing   …: the lease, as view
--        other_request                the id is that of a request with another digest
--        ended                        …: reason, ms it ended
--        quota                        …: leases and devices that the holder has or waits for
--        none_free                    …: shortage
--        paused                       …: ms that nothing is granted yet, since Redis lost its state
local id, digest, ttl, hold, grace, holder, wants = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[10]
local patience, waits, mostLeases, mostDevices = ARGV[14], ARGV[15] == '1', tonumber(ARGV[16]), tonumber(ARGV[17])

-- What the record has of the request.
local asked = {
  'ttl_ms', ttl, 'grace_ms', grace, 'create_ms', STAMP, 'request', digest, 'holder', holder, 'purpose', ARGV[7], 'link', ARGV[8],
  'demands', ARGV[9], 'priority', ARGV[12], 'retractable', '1',
}

-- The lease as award.lua has it; one of several devices has another size.
local new = {
  ttl = tonumber(ttl), hold = tonumber(hold), grace = tonumber(grace), create = NOW, holder = holder, size = '1', asked = asked,
}

-- has is how many leases and devices the holder has or waits for, at least, if that matters. An entry without such a lease is
-- wrong, and goes.
local has = (mostLeases > 0 or mostDevices > 0) and function()
  local leases, devices = redis.call('HLEN', HOLDER .. holder), 0
  if leases > BATCH then return leases, leases end -- limits are no higher
  local entries = redis.call('HGETALL', HOLDER .. holder)
  for i = 1, #entries, 2 do
    local state = redis.call('HGET', LEASE .. entries[i], 'state')
    if state == 'active' or state == 'pending' then
      devices = devices + entries[i + 1]
    else
      leases = leases - redis.call('HDEL', HOLDER .. holder, entries[i])
    end
  end
  return leases, devices
end

local busy -- whether it is sure that the request has to be refused, unless it waits

do
  local one = string.match(wants, '^1%*([^;]+)$') -- device, or class|class
  local usual = one and redis.call('EXISTS', LEASE .. id, QUEUE, TICKETS, PAUSED) == 0
    and not redis.call('ZRANGEBYSCORE', ACTIVE, '-inf', STAMP, 'LIMIT', '0', '1')[1]
  if usual and has then
    local leases, devices = has()
    if (mostLeases > 0 and leases >= mostLeases) or (mostDevices > 0 and devices >= mostDevices) then
      return { 'quota', NOW, false, false, 0, leases, devices }
    end
  end
  local named = usual and one ~= '-' and not string.find(one, '=', 1, true)
  local class, name, since
  if named then
    name = one
  elseif usual and not string.find(one, '|', 1, true) then
    class, name = one, redis.call('ZRANGE', FREE .. one, '0', '0')[1]
  elseif usual then
    for each in string.gmatch(one, '[^|]+') do
      local first = redis.call('ZRANGE', FREE .. each, '0', '0', 'WITHSCORES')
      local at = first[1] and tonumber(first[2])
      if at and (not since or at < since or (at == since and first[1] < name)) then class, name, since = each, first[1], at end
    end
  end
  if name then
    local f = redis.call('HMGET', DEVICE .. name, 'state', 'grants', 'class')
    class = class or f[3]
    local locked = redis.call('EXISTS', LOCK .. name) == 1
    if f[1] == 'in_service' and not locked then
      local lease, devices = new, { { name = name, class = class, grants = f[2] } }
      --> award
      return { 'granted', NOW, false, { 0 }, 0, view }
    end
    busy = named and class and (locked or redis.call('ZSCORE', MAINTENANCE .. class, name))
      and not redis.call('ZSCORE', FREE .. class, name) -- else an index is wrong
  else
    busy = usual
  end
end
