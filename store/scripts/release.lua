-- release: end a lease because its holder returns it. Releasing it again is no error.
--
-- ARGV   1 id, 2 '1' to take the grant back as if it had never been, leaving no record; else '0'
-- reply  {outcome, now, ended, …} with the outcomes
--        released
--        not_found
--        ended       it was over before, otherwise than by release; …: reason, ms it ended
local id, retract = ARGV[1], ARGV[2] == '1'
local lease = record(id)
if not lease then return { 'not_found', NOW, ended } end
if lease.state == 'active' then
  finish(id, lease, remaining(id, lease.devices) > 0 and 'released' or lost(id, lease))
end
if retract then
  redis.call('DEL', LEASE .. id)
  redis.call('ZREM', ENDED, id)
  return { 'released', NOW, {} }
end
local f = redis.call('HMGET', LEASE .. id, 'ended_reason', 'ended_ms')
if f[1] == 'released' then return { 'released', NOW, ended } end
return { 'ended', NOW, ended, f[1], f[2] }
