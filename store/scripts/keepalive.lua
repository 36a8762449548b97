-- keepalive: extend an active lease to now + TTL, never past its deadline.
--
-- ARGV   1 id
-- reply  {outcome, now, ended, …} with the outcomes
--        renewed     …: ms it now expires, ms of its deadline, TTL ms
--        not_found
--        ended       …: reason, ms it ended
local id = ARGV[1]
local lease = record(id)
if not lease then return { 'not_found', NOW, ended } end
if lease.state == 'active' then
  local left = remaining(id, lease.devices)
  if left == 0 then
    finish(id, lease, lost(id, lease))
  elseif lease.deadline <= NOW then
    finish(id, lease, 'deadline')
  else
    local expire = math.min(NOW + lease.ttl, lease.deadline)
    for _, device in ipairs(lease.devices) do
      redis.call('PEXPIRE', LOCK .. device, int(expire - NOW + lease.grace))
    end
    redis.call('ZADD', ACTIVE, int(expire + lease.grace), id)
    if left < lease.grace then event('renewed_late', 'lease', id, 'late_ms', int(lease.grace - left)) end
    return { 'renewed', NOW, ended, expire, lease.deadline, lease.ttl }
  end
end
local f = redis.call('HMGET', LEASE .. id, 'ended_reason', 'ended_ms')
return { 'ended', NOW, ended, f[1], f[2] }
