-- reap: end the leases that are due, and forget ended ones whose records are gone; at most 128 of each.
--
-- ARGV   none
-- reply  {'reaped', now, ended, 1 when there may be more}
local due = reap()
local stale = redis.call('ZRANGEBYSCORE', ENDED, '-inf', int(NOW - RETENTION), 'LIMIT', 0, BATCH)
if #stale > 0 then redis.call('ZREM', ENDED, unpack(stale)) end
return { 'reaped', NOW, ended, (due == BATCH or #stale == BATCH) and 1 or 0 }
