-- view: how replies show leases and devices. It comes last in front of a script that shows any.

local length -- of the line

-- waiting is how a ticket waits: {its place, length of the line, shortage…}.
local function waiting(id)
  length = length or redis.call('ZCARD', QUEUE)
  local why = shortage(redis.call('HGET', LEASE .. id, 'wants') or '')
  return { (redis.call('ZRANK', QUEUE, id) or 0) + 1, length, why[1], why[2], why[3] }
end

-- view is a lease as replies show it: {ms its locks expire, why it is lost or '', its hash, how it waits}; false when there
-- is none.
-- An active lease that has lost its locks is not ended here, and a wrong entry not put right: reads do not write.
local function view(id)
  local lease = record(id)
  if not lease then return false end
  local due, gone = tonumber(redis.call('ZSCORE', ACTIVE, id)), ''
  if lease.state == 'active' then
    local left = remaining(id, lease.devices)
    if left == 0 then gone = lost(id, lease) elseif not due or due <= NOW then due = NOW + left end
  end
  local queued = lease.state == 'pending' and waiting(id)
  return { due or '', gone, redis.call('HGETALL', LEASE .. id), queued }
end

-- shown has a lease that is active told to its holder again, so that nobody may retract it any more. That writes in any case: so
-- replicas that have all that was written until then have the lease (see confirm.go).
local function shown(id, lease)
  redis.call('HDEL', LEASE .. id, 'retractable')
  redis.call('PEXPIREAT', LEASE .. id, lease.deadline + lease.grace + RETENTION)
end

-- inspect is a device as replies show it: {state, note, last lease, grants, id of the lease whose lock holds it, holder,
-- ms it came where it is}; nil for what there is not.
local function inspect(device)
  local f = redis.call('HMGET', DEVICE .. device, 'state', 'note', 'last_lease', 'grants', 'class')
  local id = redis.call('GET', LOCK .. device)
  if id then
    local l = redis.call('HMGET', LEASE .. id, 'holder', 'grant_ms')
    return { f[1], f[2], f[3], f[4], id, l[1], l[2] }
  end
  local index = f[1] == 'maintenance' and MAINTENANCE or FREE
  return { f[1], f[2], f[3], f[4], false, false, redis.call('ZSCORE', index .. (f[5] or ''), device) }
end
