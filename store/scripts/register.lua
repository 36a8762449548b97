-- register: make devices of the inventory known, or known by a new class, and put right where the indexes disagree with
-- their locks. A lease whose lock was removed by hand ends here.
--
-- ARGV   1 to 4 as guard in epoch.lua, then device, class; at most 32 pairs
-- reply  report of 'registered', …: as guard
local seen = guard(true)
for i = 5, #ARGV, 2 do
  local device, class = ARGV[i], ARGV[i + 1]
  local f = redis.call('HMGET', DEVICE .. device, 'class', 'state', 'last_lease')
  local old, state, last = f[1], f[2], f[3]
  local since
  if old and old ~= class then
    since = redis.call('ZSCORE', FREE .. old, device) or redis.call('ZSCORE', MAINTENANCE .. old, device)
    redis.call('ZREM', FREE .. old, device)
    redis.call('ZREM', MAINTENANCE .. old, device)
  end
  if not state or state == 'removed' then
    redis.call('HSET', DEVICE .. device, 'class', class, 'state', 'in_service')
  elseif old ~= class then
    redis.call('HSET', DEVICE .. device, 'class', class)
  end
  redis.call('SADD', DEVICES, device)
  if not heldOut(device, class) then
    local lease = last and record(last)
    if lease and lease.state == 'active' and remaining(last, lease.devices) == 0 then finish(last, lease, lost(last, lease)) end
    settle(device, since or nil)
  end
end
serve()
return report('registered', unpack(seen))
