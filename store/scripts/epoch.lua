-- epoch: whether Redis still has what a replica knows that it had. It comes after records.
--
-- A replica remembers the epoch of a pool and compares. Another epoch, or none, means that Redis came back without the pool's
-- state: holders from before use their devices until they hear of it or their TTL is over, and nobody knows which these are. So
-- nothing is granted for the longest TTL that holders were told, and the grace.

local EPOCH, LONGEST, LOST = 'epoch' .. TAG, 'longest' .. TAG, 'lost' .. TAG

-- lose pauses grants, for some ms since the epoch began, unless that is over; and remembers for an hour that there was a loss.
local function lose(since, pause)
  local age = math.max(0, NOW - since)
  local left, known = pause - age, math.max(pause, RETENTION) - age
  if left > math.max(0, redis.call('PTTL', PAUSED)) then redis.call('SET', PAUSED, NOW + left, 'PX', left) end
  if known > 0 then redis.call('SET', LOST, since, 'NX', 'PX', known) end
end

-- guard compares what a replica knows of the pool, tells it what is known here, and keeps that known. Its arguments are ARGV:
--   1 ms when the epoch began that the replica saw last, '' for none; 2 ms that grants pause if that is lost; 3 the longest TTL ms
--   that it told a holder since it was here last, or that its inventory gives by itself; 4 grace ms, 0 when it knows none
-- begins says that a pool without an epoch gets one also from a replica that saw none. It returns ms when the epoch began, '' for
-- none; the longest TTL ms that holders were told lately; grace ms; ms that grants still pause.
local function guard(begins)
  local known, ttl, grace = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
  local f = redis.call('HMGET', EPOCH, 'since_ms', 'grace_ms')
  local since = f[1]
  if not since and (begins or known ~= '') then
    since = STAMP
    redis.call('HSET', EPOCH, 'since_ms', since)
  end
  if since and grace > 0 and f[2] ~= ARGV[4] then redis.pcall('HSET', EPOCH, 'grace_ms', ARGV[4]) end
  grace = math.max(grace, tonumber(f[2] or 0))
  if since and known ~= '' and since ~= known then
    lose(tonumber(since), tonumber(ARGV[2]))
    ttl = math.max(ttl, ARGV[2] - grace) -- for the case that this is lost too
  end
  local longest = tonumber(redis.call('GET', LONGEST) or 0)
  if since and ttl > 0 and ttl >= longest then -- it matters for as long as the lease may live that was told it
    redis.pcall('SET', LONGEST, ttl, 'PX', ttl + grace)
    longest = ttl
  end
  return { since or '', longest, grace, math.max(0, redis.call('PTTL', PAUSED)) }
end
