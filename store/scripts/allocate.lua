-- allocate: grant a lease on the device that has been free the longest, or the one that is named; the same id again is
-- the same lease.
--
-- ARGV   1 id, 2 digest of the request, 3 TTL ms, 4 longest hold ms, 5 grace ms, 6 holder, 7 purpose, 8 link,
--        9 name of the one device or '', 10… classes to take a device from (at most BATCH; for a named device its own)
-- reply  {outcome, now, ended, …} with the outcomes
--        granted | existing   …: the lease, as view in the prelude
--        other_request        the id was granted for a request with another digest
--        ended                …: reason, ms it ended
--        none_free            …: matching devices in maintenance, ms when the first matching lease ends ('' unknown)
local id, digest, ttl, hold, grace = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local name = ARGV[9]

reap()

local lease = record(id)
if lease then
  if lease.request ~= digest then return { 'other_request', NOW, ended } end
  if lease.state == 'active' then
    if remaining(id, lease.devices) > 0 then return { 'existing', NOW, ended, view(id) } end
    finish(id, lease, lost(id, lease))
    lease = record(id)
  end
  return { 'ended', NOW, ended, lease.reason, redis.call('HGET', LEASE .. id, 'ended_ms') }
end

local wanted = {}
for i = 10, #ARGV do wanted[ARGV[i]] = true end

-- lock tries to take a device that is in service. An entry among the free of any other, or of one that is locked, is wrong,
-- and goes.
local function lock(device, class)
  local taken = redis.call('HGET', DEVICE .. device, 'state') == 'in_service'
    and redis.call('SET', LOCK .. device, id, 'NX', 'PX', int(math.min(ttl, hold) + grace))
  redis.call('ZREM', FREE .. class, device)
  return taken and device
end

local function lockNamed()
  local class = redis.call('HGET', DEVICE .. name, 'class')
  return class and lock(name, class)
end

local function lockLongestFree()
  for _ = 1, BATCH do
    local device, class, since
    for candidate in pairs(wanted) do
      local head = redis.call('ZRANGE', FREE .. candidate, 0, 0, 'WITHSCORES')
      local score = tonumber(head[2])
      if head[1] and (not since or score < since or (score == since and head[1] < device)) then
        device, class, since = head[1], candidate, score
      end
    end
    if not device then return nil end
    if lock(device, class) then return device end
  end
end

-- nextEnd returns when the first lease that holds a matching device ends, looking no further than BATCH leases.
local function nextEnd()
  local first = redis.call('ZRANGE', ACTIVE, 0, BATCH - 1, 'WITHSCORES')
  for i = 1, #first, 2 do
    for _, device in ipairs(words(redis.call('HGET', LEASE .. first[i], 'devices') or '')) do
      local class = name == '' and redis.call('HGET', DEVICE .. device, 'class')
      if device == name or (class and wanted[class]) then return first[i + 1] end
    end
  end
  return ''
end

local function inMaintenance()
  local n = 0
  for class in pairs(wanted) do
    if name == '' then
      n = n + redis.call('ZCARD', MAINTENANCE .. class)
    elseif redis.call('ZSCORE', MAINTENANCE .. class, name) then
      n = n + 1
    end
  end
  return n
end

local fence = int(math.max(tonumber(redis.call('GET', FENCE) or 0) + 1, MICROSECONDS))
local device
if name ~= '' then device = lockNamed() else device = lockLongestFree() end
if not device then return { 'none_free', NOW, ended, inMaintenance(), nextEnd() } end

redis.call('SET', FENCE, fence)
redis.call('HSET', LEASE .. id, 'state', 'active', 'devices', device, 'holder', ARGV[6], 'purpose', ARGV[7], 'link', ARGV[8],
  'fence', fence, 'ttl_ms', int(ttl), 'grace_ms', int(grace), 'create_ms', int(NOW), 'deadline_ms', int(NOW + hold),
  'request', digest)
redis.call('PEXPIRE', LEASE .. id, int(hold + grace + RETENTION))
redis.call('ZADD', ACTIVE, int(NOW + math.min(ttl, hold) + grace), id)
redis.call('HSET', DEVICE .. device, 'last_lease', id)
redis.call('HINCRBY', DEVICE .. device, 'grants', 1)
event('granted', 'lease', id, 'devices', device, 'holder', ARGV[6], 'fence', fence)
return { 'granted', NOW, ended, view(id) }
