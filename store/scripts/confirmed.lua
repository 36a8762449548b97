-- confirmed: read until when the replicas knew a lease to live, as far as that is recorded: without a record, as when it was granted.
-- It needs nothing of the prelude.
--
-- KEYS   as in the prelude
-- ARGV   1 id
-- reply  ms it expires; 0 when the lease is gone
local f = redis.call('HMGET', 'lease' .. KEYS[1] .. ':' .. ARGV[1], 'confirmed_ms', 'grant_ms', 'ttl_ms')
return f[1] and tonumber(f[1]) or f[2] and f[2] + f[3] or 0
