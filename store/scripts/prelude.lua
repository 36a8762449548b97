-- prelude: what every script starts with. It is put in front of each of the others and does nothing by itself.
--
-- KEYS  the keys of one pool, in the order of poolKeys in keys.go; a key that ends in ':' is a prefix, completed here with
--       names that come from the arguments or from records of the same pool, hence from the same hash slot.
-- Time  is Redis's own, in ms since 1970, and stands still while a script runs.
-- Rule  checks come before writes, and DEL, PEXPIRE and ZREM before writes that need memory: a Redis that is out of memory
--       refuses a script at its first growing write only, so it still renews and releases, and nothing half-happens.
local LOCK, LEASE, DEVICE, FREE, MAINTENANCE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ACTIVE, ENDED, DEVICES, FENCE, EVENTS = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local QUEUE, QUEUE_FOR, WANTED, TICKETS, ASKED, HOLDER = KEYS[11], KEYS[12], KEYS[13], KEYS[14], KEYS[15], KEYS[16]

local BATCH = 128          -- the most that one script reads of anything that can grow
local WORK = 50            -- about how many calls to Redis one script makes for what may be left to the next
local RETENTION = 3600000  -- ms that the record of an ended lease outlives it
local EVENTS_KEPT = 10000  -- about how many events a pool keeps
local CHANNEL = 'leases'   -- where a lease is announced that was granted from the line, or left it

local clock = redis.call('TIME')
local MICROSECONDS = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local NOW = math.floor(MICROSECONDS / 1000)

-- What this script did beside its purpose; part of every reply, as report gives it.
local ended = {}     -- leases that it ended, flat: reason, ms held or -1 for one that was never granted
local waited = {}    -- of each lease that it granted, the ms between asking and grant
local more = false   -- whether there is more to do of what was due
local work = 0       -- about how many calls that took

-- Whether there may be something to hand out that was not there before, and which classes and devices that concerns.
local freed, fresh = false, {}

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

-- report is how every reply begins: {outcome, now, ended, waited, 1 when there is more to do, …}.
local function report(outcome, ...) return { outcome, NOW, ended, waited, more and 1 or 0, ... } end

-- record reads fields of a lease's hash by name; nil when there is no such lease.
local function record(id)
  local f = redis.call('HMGET', LEASE .. id, 'state', 'devices', 'ttl_ms', 'grace_ms', 'grant_ms', 'deadline_ms', 'request',
    'ended_reason')
  if not f[1] then return nil end
  return {
    state = f[1], devices = words(f[2] or ''), ttl = tonumber(f[3]), grace = tonumber(f[4]), grant = tonumber(f[5]),
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
    if redis.call('EXISTS', QUEUE_FOR .. device) == 1 then redis.call('ZADD', WANTED, 1, device) end
    freed, fresh[class], fresh[device] = true, true, true
  elseif state == 'maintenance' then
    redis.call('ZADD', MAINTENANCE .. class, 'NX', since or int(NOW), device)
  else
    redis.call('DEL', DEVICE .. device)
    redis.call('SREM', DEVICES, device)
  end
end

local STATE_OF = { released = 'released', expired = 'expired', deadline = 'expired', revoked = 'revoked', abandoned = 'abandoned' }

-- close keeps the record of a lease that is over for a while, and counts it no more as its holder's.
local function close(id, reason, at, held)
  redis.call('PEXPIRE', LEASE .. id, RETENTION)
  local holder = redis.call('HGET', LEASE .. id, 'holder')
  if holder then redis.call('HDEL', HOLDER .. holder, id) end
  redis.call('HSET', LEASE .. id, 'state', STATE_OF[reason], 'ended_reason', reason, 'ended_ms', int(at))
  redis.call('ZADD', ENDED, int(at), id)
  ended[#ended + 1] = reason
  ended[#ended + 1] = int(held)
end

-- finish ends an active lease: frees those of its devices that it still holds or nobody does. One that ran out ended when its
-- locks did, whenever that is noticed.
local function finish(id, lease, reason)
  local at = NOW
  if STATE_OF[reason] == 'expired' then at = math.min(NOW, tonumber(redis.call('ZSCORE', ACTIVE, id)) or NOW) end
  redis.call('ZREM', ACTIVE, id)
  for _, device in ipairs(lease.devices) do
    if redis.call('GET', LOCK .. device) == id then redis.call('DEL', LOCK .. device) end
  end
  close(id, reason, at, at - lease.grant)
  for _, device in ipairs(lease.devices) do
    if redis.call('EXISTS', LOCK .. device) == 0 then settle(device, int(at)) end
  end
  event(STATE_OF[reason], 'lease', id, 'devices', table.concat(lease.devices, ' '), 'reason', reason)
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
