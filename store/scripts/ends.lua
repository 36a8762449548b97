-- ends: how leases end, and where their devices go then. It comes after records, in scripts that end any.

-- settle puts a device that no lock holds where it belongs, and has those know who wait for it; since is the ms it came there,
-- now unless given.
local function settle(device, since)
  since = since or STAMP
  --> settle
  if state == 'in_service' and redis.call('EXISTS', QUEUE_FOR .. device) == 1 then
    redis.call('ZADD', WANTED, '1', device)
  end
end

local STATE_OF = { released = 'released', expired = 'expired', deadline = 'expired', revoked = 'revoked', abandoned = 'abandoned' }

-- close ends the record of a lease that was held for some ms.
local function close(id, holder, reason, at, held)
  local state = STATE_OF[reason]
  --> close
  ended[#ended + 1] = reason
  ended[#ended + 1] = held
end

-- finish ends an active lease: frees those of its devices that it still holds or nobody does. One that ran out ended when its
-- locks did, whenever that is noticed.
local function finish(id, lease, reason)
  local at, stamp, free = NOW, STAMP, {}
  if STATE_OF[reason] == 'expired' then
    at = math.min(NOW, tonumber(redis.call('ZSCORE', ACTIVE, id)) or NOW)
    stamp = at
  end
  redis.call('ZREM', ACTIVE, id)
  for _, device in ipairs(lease.devices) do
    local holder = redis.call('GET', LOCK .. device)
    if holder == id then redis.call('DEL', LOCK .. device) end
    if not holder or holder == id then free[#free + 1] = device end
  end
  close(id, lease.holder, reason, stamp, at - lease.grant)
  for _, device in ipairs(free) do settle(device, stamp) end
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
    redis.call('ZADD', ACTIVE, 'NX', NOW + redis.call('PTTL', LOCK .. device), id)
  end
  return true
end
