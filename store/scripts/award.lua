-- award: the body that grants a lease its devices, each {name, class, grants}. All of its locks expire together. The lease is
-- {ttl, hold, grace, create, holder}, and if it has no record yet also size, how many devices count as its holder's, and asked,
-- what its record has of the request. Then view is the lease as replies show it.
local ttl, hold, grace, holder = math.min(lease.ttl, lease.hold), lease.hold, lease.grace, lease.holder
local fence, names = math.max(tonumber(redis.call('GET', FENCE) or 0) + 1, MICROSECONDS), {}
redis.call('SET', FENCE, fence)
for i, device in ipairs(devices) do
  local name = device.name
  redis.call('SET', LOCK .. name, id, 'NX', 'PX', ttl + grace)
  redis.call('ZREM', FREE .. device.class, name)
  redis.call('HSET', DEVICE .. name, 'last_lease', id, 'grants', (device.grants or 0) + 1)
  names[i] = name
end
names = table.concat(names, ' ')
local fields = {
  'state', 'active', 'devices', names, 'fence', fence, 'grant_ms', STAMP, 'deadline_ms', NOW + hold, unpack(lease.asked or {}),
}
redis.call('HSET', LEASE .. id, unpack(fields))
redis.call('PEXPIRE', LEASE .. id, hold + grace + RETENTION)
redis.call('ZADD', ACTIVE, NOW + ttl + grace, id)
if holder ~= '' then
  local left = hold + grace + RETENTION
  if lease.size then redis.call('HSET', HOLDER .. holder, id, lease.size) end
  if redis.call('PTTL', HOLDER .. holder) < left then redis.call('PEXPIRE', HOLDER .. holder, left) end
end
redis.pcall('XADD', EVENTS, 'MAXLEN', '~', KEPT, '*', 'type', 'granted', 'lease', id, 'devices', names, 'holder', holder,
  'fence', fence, 'waited_ms', NOW - lease.create)
local view = { NOW + ttl + grace, '', fields, false }
