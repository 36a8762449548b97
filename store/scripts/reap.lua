-- reap: end the leases and tickets that are due, forget ended ones whose records are gone, cap those that reach too far, and serve
-- the line.
--
-- ARGV   none
-- reply  report of 'reaped', …: ms until the next lease is due while someone waits; '' while nobody does

-- cap has a lease live no longer from now than its TTL and the grace, nor be held longer than it may: what was set before Redis's
-- clock went back lies that much further ahead.
local function cap(id, due)
  local lease = record(id)
  local most = lease and lease.state == 'active' and lease.ttl + lease.grace
  if not most or due <= NOW + most then return end
  for _, device in ipairs(lease.devices) do
    if redis.call('GET', LOCK .. device) == id and redis.call('PTTL', LOCK .. device) > most then
      redis.call('PEXPIRE', LOCK .. device, most)
    end
  end
  redis.call('ZADD', ACTIVE, NOW + most, id)
  if lease.grant > NOW then
    redis.call('HSET', LEASE .. id, 'grant_ms', STAMP, 'deadline_ms', NOW + lease.deadline - lease.grant)
  end
  more = true -- there may be others
end

reap()
local furthest = redis.call('ZREVRANGE', ACTIVE, '0', REAPED - 1, 'WITHSCORES')
for i = 1, #furthest, 2 do cap(furthest[i], tonumber(furthest[i + 1])) end
local stale = redis.call('ZRANGEBYSCORE', ENDED, '-inf', NOW - RETENTION, 'LIMIT', 0, BATCH)
if #stale > 0 then redis.call('ZREM', ENDED, unpack(stale)) end
if #stale == BATCH then more = true end
freed = true -- the Store calls again when a script could not hand out all at once
serve()
local due = redis.call('EXISTS', QUEUE) == 1 and redis.call('ZRANGE', ACTIVE, '0', '0', 'WITHSCORES')[2]
return report('reaped', due and math.max(0, due - NOW) or '')
