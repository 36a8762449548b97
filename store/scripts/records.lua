-- records: how scripts read leases and report. It comes after the prelude, behind the usual case where there is one.

local function words(s)
  local list = {}
  for word in string.gmatch(s, '%S+') do list[#list + 1] = word end
  return list
end

-- isClass tells a class from a device: a class without labels is '-', any other has a '='.
local function isClass(node) return node == '-' or string.find(node, '=', 1, true) ~= nil end

-- event adds to the history. What was done stays done, whatever becomes of its event.
local function event(type, ...)
  redis.pcall('XADD', EVENTS, 'MAXLEN', '~', KEPT, '*', 'type', type, ...)
end

-- report is how every reply begins: {outcome, now, ended, waited, 1 when there is more to do, …}. What there is none of is
-- false, which costs less than a table.
local function report(outcome, ...)
  return { outcome, NOW, ended[1] and ended or false, waited[1] and waited or false, more and 1 or 0, ... }
end

-- record reads fields of a lease's hash by name; nil when there is no such lease.
local function record(id)
  local f = redis.call('HMGET', LEASE .. id, 'state', 'devices', 'ttl_ms', 'grace_ms', 'grant_ms', 'deadline_ms', 'request',
    'ended_reason', 'holder')
  if not f[1] then return nil end
  return {
    state = f[1], devices = words(f[2] or ''), ttl = tonumber(f[3]), grace = tonumber(f[4]), grant = tonumber(f[5]),
    deadline = tonumber(f[6]), request = f[7], reason = f[8], holder = f[9],
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
