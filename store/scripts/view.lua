-- view: how replies show leases and devices. It comes last in front of a script that shows any.

local LOOKED = 16 -- the most active leases that are looked at for when the next one ends

local ends -- of the leases that end first, when, and the devices

-- nextEnd is the ms when the first lease ends that holds a device of some nodes; '' when none is known.
local function nextEnd(wanted)
  if not ends then
    ends = {}
    local first = redis.call('ZRANGE', ACTIVE, 0, LOOKED - 1, 'WITHSCORES')
    for i = 1, #first, 2 do
      local held = {}
      for _, device in ipairs(words(redis.call('HGET', LEASE .. first[i], 'devices') or '')) do
        held[#held + 1] = device
        held[#held + 1] = redis.call('HGET', DEVICE .. device, 'class') or ''
      end
      ends[#ends + 1] = { first[i + 1], held }
    end
  end
  for _, lease in ipairs(ends) do
    for _, node in ipairs(lease[2]) do
      if wanted[node] then return lease[1] end
    end
  end
  return ''
end

local counts = {}

-- count is how many devices of a class, or of a name whose class is not wanted, are in maintenance, and free.
local function count(node, wanted)
  if not counts[node] and theLine().isClass(node) then
    counts[node] = { redis.call('ZCARD', MAINTENANCE .. node), redis.call('ZCARD', FREE .. node) }
  elseif not theLine().isClass(node) then
    local class = redis.call('HGET', DEVICE .. node, 'class') or ''
    if wanted[class] then return { 0, 0 } end
    return { redis.call('ZSCORE', MAINTENANCE .. class, node) and 1 or 0, redis.call('ZSCORE', FREE .. class, node) and 1 or 0 }
  end
  return counts[node]
end

-- shortage is why a lease can't be had now: {matching devices in maintenance, those that are free, ms when the first lease of
-- one ends ('' unknown)}.
local function shortage(wants)
  local list, wanted, maintenance, free = theLine().planOf(wants).nodes, {}, 0, 0
  for _, node in ipairs(list) do wanted[node] = true end
  for _, node in ipairs(list) do
    local n = count(node, wanted)
    maintenance, free = maintenance + n[1], free + n[2]
  end
  return { maintenance, free, nextEnd(wanted) }
end

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
  return { due and int(due) or '', gone, redis.call('HGETALL', LEASE .. id), queued }
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
