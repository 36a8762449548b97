-- release_other: what release.lua does not: take a lease back, give a place in line up, hand to the line what was freed, and
-- say how a lease ended before.
local lease = record(id)
if not lease then return report('not_found') end
if retract and redis.call('HEXISTS', LEASE .. id, 'retractable') == 0 then return report('kept') end
if lease.state == 'active' then
  finish(id, lease, remaining(id, lease.devices) > 0 and 'released' or lost(id, lease))
elseif lease.state == 'pending' then
  theLine().drop(id, 'released', NOW)
end
serve()
if retract then
  redis.call('DEL', LEASE .. id)
  redis.call('ZREM', ENDED, id)
  ended = {}
  return report('released')
end
local f = redis.call('HMGET', LEASE .. id, 'ended_reason', 'ended_ms')
if f[1] == 'released' then return report('released') end
return report('ended', f[1], f[2])
