-- release: end a lease because its holder returns it, or gives its place in line up. Releasing it again is no error.
--
-- ARGV   1 id, 2 '1' to take the lease back as if it had never been, leaving no record; else '0'
-- reply  report of an outcome
--        released
--        not_found
--        ended       it was over before, otherwise than by release; …: reason, ms it ended
local id, retract = ARGV[1], ARGV[2] == '1'
local lease = record(id)
if not lease then return report('not_found') end
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
