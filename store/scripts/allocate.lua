-- allocate: grant a lease, or have it wait in line; the same id again is the same lease.
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
local id, digest, hold, grace, holder, wants = ARGV[1], ARGV[2], ARGV[4], ARGV[5], ARGV[6], ARGV[10]
local patience, waits, mostLeases, mostDevices = ARGV[14], ARGV[15] == '1', tonumber(ARGV[16]), tonumber(ARGV[17])

local the = theLine()

-- again answers for an id that was used before.
local function again(lease)
  if lease.request ~= digest then
    serve()
    return report('other_request')
  end
  if lease.state == 'active' and remaining(id, lease.devices) == 0 then finish(id, lease, lost(id, lease)) end
  if lease.state == 'pending' and the.hopeful(the.ask(id)) then freed = true end
  serve()
  lease = record(id)
  if lease.state == 'pending' or lease.state == 'active' then return report('existing', view(id)) end
  return report('ended', lease.reason, redis.call('HGET', LEASE .. id, 'ended_ms'))
end

-- has is how many leases and devices the holder has or waits for, at least. An entry without such a lease is wrong, and goes.
local function has()
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

-- write makes the record of the lease, which waits as long as it is not granted.
local function write()
  redis.call('HSET', LEASE .. id, 'state', 'pending', 'request', digest, 'ttl_ms', ARGV[3], 'hold_ms', hold, 'grace_ms', grace,
    'holder', holder, 'purpose', ARGV[7], 'link', ARGV[8], 'demands', ARGV[9], 'wants', wants, 'matching', ARGV[11],
    'priority', ARGV[12], 'ask_ms', patience, 'create_ms', int(NOW))
  if holder ~= '' then
    redis.call('HSET', HOLDER .. holder, id, the.planOf(wants).size)
    the.extend(HOLDER .. holder, hold + grace + patience + RETENTION)
  end
end

reap()
local known = record(id)
if known then return again(known) end
if mostLeases > 0 or mostDevices > 0 then
  local leases, devices = has()
  if (mostLeases > 0 and leases >= mostLeases) or (mostDevices > 0 and devices + the.planOf(wants).size > mostDevices) then
    serve()
    return report('quota', leases, devices)
  end
end

local order = the.nextNumber() - ARGV[12] * ARGV[13] * 1000
local devices, all
the.notice(wants)
if redis.call('EXISTS', QUEUE) == 0 or the.hopeful(wants) then
  the.walk(order, id)
  devices, all = the.consider(wants)
  the.pass(id)
end
if all then
  write()
  the.add(id, devices)
elseif waits then
  the.draw() -- the number that its order is made of
  write()
  redis.call('ZADD', QUEUE, int(order), id)
  redis.call('ZADD', ASKED, int(NOW), id)
  the.joinQueues(id, wants, int(order))
  redis.call('ZADD', TICKETS, int(NOW + patience), id)
  redis.call('PEXPIRE', LEASE .. id, int(hold + grace + patience + RETENTION))
  event('queued', 'lease', id, 'holder', holder, 'priority', ARGV[12])
elseif devices then
  the.relinquish(devices)
end
serve()
if all then return report('granted', view(id)) end
if waits then return report('waits', view(id)) end
return report('none_free', unpack(shortage(wants)))
