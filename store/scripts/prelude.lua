-- prelude: what every script starts with. It is put in front of each of the others and does nothing by itself.
--
-- KEYS  the keys of one pool, in the order of poolKeys in keys.go; a key that ends in ':' is a prefix, completed here with
--       names that come from the arguments or from records of the same pool, hence from the same hash slot.
-- Time  is Redis's own, in ms since 1970, and stands still while a script runs.
-- Rule  checks come before writes, and DEL, PEXPIRE and ZREM before writes that need memory: a Redis that is out of memory
--       refuses a script at its first growing write only, so it still renews and releases, and nothing half-happens.
local LOCK, LEASE, DEVICE, FREE, MAINTENANCE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ACTIVE, ENDED, DEVICES, FENCE, EVENTS = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]

local BATCH = 128          -- the most that one script looks at of anything that can grow
local RETENTION = 3600000  -- ms that the record of an ended lease outlives it
local EVENTS_KEPT = 10000  -- about how many events a pool keeps

local clock = redis.call('TIME')
local MICROSECONDS = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local NOW = math.floor(MICROSECONDS / 1000)

-- ended is the leases that this script ended, flat: reason, ms held. Part of every reply, for metrics.
local ended = {}

-- int writes a number in full: Lua's own tostring turns ms since 1970 into 1.7e+12.
local function int(n) return string.format('%.0f', n) end

local function words(s)
  local list = {}
  for word in string.gmatch(s, '%S+') do list[#list + 1] = word end
  return list
end

-- event adds to the history. What was done stays done, whatever becomes of its event.
local function event(type, ...)
  redis.pcall('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, '*', 'type', type, ...)
end

-- record reads fields of a lease's hash by name; nil when there is no such lease.
local function record(id)
  local f = redis.call('HMGET', LEASE .. id, 'state', 'devices', 'ttl_ms', 'grace_ms', 'create_ms', 'deadline_ms', 'request',
    'ended_reason')
  if not f[1] then return nil end
  return {
    state = f[1], devices = words(f[2]), ttl = tonumber(f[3]), grace = tonumber(f[4]), create = tonumber(f[5]),
    deadline = tonumber(f[6]), request = f[7], reason = f[8],
  }
end

-- remaining returns the ms that the lease's locks live on, 0 when it does not hold them all.
local function remaining(id, devices)
  local left
  for _, device in ipairs(devices) do
    if redis.call('GET', LOCK .. device) ~= id then return 0 end
    local ms = redis.call('PTTL', LOCK .. device)
    if not left or ms < left then left = ms end
  end
  return left
end

-- lost says why an active lease no longer holds its locks.
local function lost(id, lease)
  local due = tonumber(redis.call('ZSCORE', ACTIVE, id))
  if not due or due > NOW then return 'revoked' end
  if due - lease.grace >= lease.deadline then return 'deadline' end
  return 'expired'
end

-- settle puts a device that no lock holds where its state says and nowhere else: among the free, in maintenance, or out
-- of our sight. A device that is already there keeps its place; since is the ms it came there, now unless given.
local function settle(device, since)
  local f = redis.call('HMGET', DEVICE .. device, 'class', 'state')
  local class, state = f[1], f[2]
  if not state then return end
  if state ~= 'in_service' then redis.call('ZREM', FREE .. class, device) end
  if state ~= 'maintenance' then redis.call('ZREM', MAINTENANCE .. class, device) end
  if state == 'in_service' then
    redis.call('ZADD', FREE .. class, 'NX', since or int(NOW), device)
  elseif state == 'maintenance' then
    redis.call('ZADD', MAINTENANCE .. class, 'NX', since or int(NOW), device)
  else
    redis.call('DEL', DEVICE .. device)
    redis.call('SREM', DEVICES, device)
  end
end

local STATE_OF = { released = 'released', expired = 'expired', deadline = 'expired', revoked = 'revoked' }

-- finish ends an active lease: frees those of its devices that it still holds or nobody does, keeps its record for a while.
-- One that ran out ended when its locks did, whenever that is noticed.
local function finish(id, lease, reason)
  local at = NOW
  if STATE_OF[reason] == 'expired' then at = math.min(NOW, tonumber(redis.call('ZSCORE', ACTIVE, id)) or NOW) end
  redis.call('ZREM', ACTIVE, id)
  for _, device in ipairs(lease.devices) do
    if redis.call('GET', LOCK .. device) == id then redis.call('DEL', LOCK .. device) end
  end
  redis.call('PEXPIRE', LEASE .. id, RETENTION)
  redis.call('HSET', LEASE .. id, 'state', STATE_OF[reason], 'ended_reason', reason, 'ended_ms', int(at))
  redis.call('ZADD', ENDED, int(at), id)
  for _, device in ipairs(lease.devices) do
    if redis.call('EXISTS', LOCK .. device) == 0 then settle(device, int(at)) end
  end
  event(STATE_OF[reason], 'lease', id, 'devices', table.concat(lease.devices, ' '), 'reason', reason)
  ended[#ended + 1] = reason
  ended[#ended + 1] = int(at - lease.create)
end

-- reap ends leases that are due, at most BATCH of them, and returns how many it looked at. The lock decides: a lease whose
-- locks live on is not due, and its entry is put right.
local function reap()
  local due = redis.call('ZRANGEBYSCORE', ACTIVE, '-inf', int(NOW), 'LIMIT', 0, BATCH)
  for _, id in ipairs(due) do
    local lease = record(id)
    local left = lease and remaining(id, lease.devices)
    if not lease then
      redis.call('ZREM', ACTIVE, id)
    elseif left > 0 then
      redis.call('ZREM', ACTIVE, id) -- first, as the rule says: memory may be full
      redis.call('ZADD', ACTIVE, int(NOW + left), id)
    else
      finish(id, lease, lost(id, lease))
    end
  end
  return #due
end

-- heldOut reports whether a lock holds the device; then it sees that the indexes say so: the device is neither among the
-- free nor in maintenance, and the lease is among the active.
local function heldOut(device, class)
  local id = redis.call('GET', LOCK .. device)
  if not id then return false end
  redis.call('ZREM', FREE .. class, device)
  redis.call('ZREM', MAINTENANCE .. class, device)
  if redis.call('HGET', LEASE .. id, 'state') == 'active' then
    redis.call('ZADD', ACTIVE, 'NX', int(NOW + redis.call('PTTL', LOCK .. device)), id)
  end
  return true
end

-- view is a lease as replies show it: {ms its locks expire, why it is lost or '', its hash}; false when there is none.
-- An active lease that has lost its locks is not ended here, and a wrong entry not put right: reads do not write.
local function view(id)
  local lease = record(id)
  if not lease then return false end
  local due, gone = tonumber(redis.call('ZSCORE', ACTIVE, id)), ''
  if lease.state == 'active' then
    local left = remaining(id, lease.devices)
    if left == 0 then gone = lost(id, lease) elseif not due or due <= NOW then due = NOW + left end
  end
  return { due and int(due) or '', gone, redis.call('HGETALL', LEASE .. id) }
end

-- inspect is a device as replies show it: {state, note, last lease, grants, id of the lease whose lock holds it, holder,
-- ms it came where it is}; nil for what there is not.
local function inspect(device)
  local f = redis.call('HMGET', DEVICE .. device, 'state', 'note', 'last_lease', 'grants', 'class')
  local id = redis.call('GET', LOCK .. device)
  if id then
    local l = redis.call('HMGET', LEASE .. id, 'holder', 'create_ms')
    return { f[1], f[2], f[3], f[4], id, l[1], l[2] }
  end
  local index = f[1] == 'maintenance' and MAINTENANCE or FREE
  return { f[1], f[2], f[3], f[4], false, false, redis.call('ZSCORE', index .. (f[5] or ''), device) }
end
