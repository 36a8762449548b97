-- release: end a lease because its holder returns it, or gives its place in line up. Releasing it again is no error. Here is
-- the usual case: an active lease, while nobody waits. The rest is in release_other.lua.
--
-- ARGV   1 id, 2 '1' to take the lease back as if it had never been, leaving no record, unless its holder was told of it again;
--        else '0'
-- reply  report of an outcome
--        released
--        kept        its holder was told of it again
--        not_found
--        ended       it was over before, otherwise than by release; …: reason, ms it ended
local id, retract = ARGV[1], ARGV[2] == '1'

do
  local f = redis.call('HMGET', LEASE .. id, 'state', 'devices', 'grant_ms', 'holder')
  local held, devices, queues = f[1] == 'active' and not retract, {}, { QUEUE }
  for device in string.gmatch(held and f[2] or '', '%S+') do
    held = held and redis.call('GET', LOCK .. device) == id
    devices[#devices + 1] = device
    queues[#queues + 1] = QUEUE_FOR .. device
  end
  if held and redis.call('EXISTS', unpack(queues)) == 0 then
    redis.call('ZREM', ACTIVE, id)
    for _, device in ipairs(devices) do redis.call('DEL', LOCK .. device) end
    local holder, reason, state, at = f[4], 'released', 'released', STAMP
    --> close
    for _, device in ipairs(devices) do
      local since = STAMP
      --> settle
    end
    redis.pcall('XADD', EVENTS, 'MAXLEN', '~', KEPT, '*', 'type', 'released', 'lease', id, 'devices', f[2], 'reason', 'released')
    return { 'released', NOW, { 'released', NOW - f[3] }, false, 0 }
  end
end
