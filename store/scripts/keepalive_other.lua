-- keepalive_other: what keepalive.lua does not: a lease that is not renewed, and why.
local id = ARGV[1]
local lease = record(id)
if not lease then
  local since = redis.call('GET', 'lost' .. TAG)
  if since then return report('ended', 'store_lost', since) end -- with what Redis lost
  return report('not_found')
end
if lease.state == 'pending' then return report('pending') end
if lease.state == 'active' then
  local held = remaining(id, lease.devices) > 0
  finish(id, lease, held and lease.deadline <= NOW and 'deadline' or lost(id, lease))
  serve()
end
local f = redis.call('HMGET', LEASE .. id, 'ended_reason', 'ended_ms')
return report('ended', f[1], f[2])
