-- confirm: record until when the replicas know an active lease to live, for the keepalive after which they do not. It needs
-- nothing of the prelude.
--
-- KEYS   as in the prelude
-- ARGV   1 id, 2 ms it expires
local record = 'lease' .. KEYS[1] .. ':' .. ARGV[1]
local f = redis.call('HMGET', record, 'state', 'confirmed_ms')
if f[1] == 'active' and tonumber(ARGV[2]) > tonumber(f[2] or 0) then
  redis.call('HSET', record, 'confirmed_ms', ARGV[2])
end
