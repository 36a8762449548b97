-- reap: end the leases and tickets that are due, forget ended ones whose records are gone, and serve the line.
--
-- ARGV   none
-- reply  report of 'reaped', …: ms until the next lease is due while someone waits; '' while nobody does
reap()
local stale = redis.call('ZRANGEBYSCORE', ENDED, '-inf', NOW - RETENTION, 'LIMIT', 0, BATCH)
if #stale > 0 then redis.call('ZREM', ENDED, unpack(stale)) end
if #stale == BATCH then more = true end
freed = true -- the Store calls again when a script could not hand out all at once
serve()
local due = redis.call('EXISTS', QUEUE) == 1 and redis.call('ZRANGE', ACTIVE, '0', '0', 'WITHSCORES')[2]
return report('reaped', due and math.max(0, due - NOW) or '')
