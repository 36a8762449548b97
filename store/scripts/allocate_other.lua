-- allocate_other: what allocate.lua does not: where somebody waits, where something is due, several devices, an id that was
-- used before, a pause of grants.
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
  if lease.state == 'active' then shown(id, lease) end
  if lease.state == 'pending' or lease.state == 'active' then return report('existing', view(id)) end
  return report('ended', lease.reason, redis.call('HGET', LEASE .. id, 'ended_ms'))
end

-- join puts the lease in line, at a place.
local function join(order)
  the.draw() -- the number that the order is made of
  redis.call('HSET', LEASE .. id, 'state', 'pending', 'hold_ms', hold, 'ask_ms', patience, 'wants', wants, 'matching', ARGV[11],
    unpack(asked))
  if holder ~= '' then
    redis.call('HSET', HOLDER .. holder, id, new.size)
    the.extend(HOLDER .. holder, hold + grace + patience + RETENTION)
  end
  redis.call('ZADD', QUEUE, order, id)
  redis.call('ZADD', ASKED, STAMP, id)
  the.joinQueues(id, wants, order)
  redis.call('ZADD', TICKETS, NOW + patience, id)
  redis.call('PEXPIRE', LEASE .. id, hold + grace + patience + RETENTION)
  event('queued', 'lease', id, 'holder', holder, 'priority', ARGV[12])
end

reap()
local known = record(id)
if known then return again(known) end
new.size = the.planOf(wants).size
if has then
  local leases, devices = has()
  if (mostLeases > 0 and leases >= mostLeases) or (mostDevices > 0 and devices + new.size > mostDevices) then
    serve()
    return report('quota', leases, devices)
  end
end

local order = the.nextNumber() - ARGV[12] * ARGV[13] * 1000
local found, all
the.notice(wants)
if redis.call('EXISTS', QUEUE) == 0 or the.hopeful(wants) then
  the.walk(order, id)
  found, all = the.consider(wants)
  the.pass(id)
end
local grant
if all then
  grant = the.add(id, found, new)
elseif waits then
  join(order)
elseif found then
  the.relinquish(found)
end
serve()
if grant then return report('granted', grant.view) end
if waits then return report('waits', view(id)) end
local paused = redis.call('PTTL', PAUSED)
if paused > 0 then return report('paused', paused) end
return report('none_free', unpack(shortage(wants)))
