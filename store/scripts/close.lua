-- close: the body that keeps the record of a lease that is over for a while, and counts it no more as its holder's. It ended at
-- a time, for a reason, in a state.
redis.call('PEXPIRE', LEASE .. id, RETENTION)
if holder and holder ~= '' then redis.call('HDEL', HOLDER .. holder, id) end
redis.call('HSET', LEASE .. id, 'state', state, 'ended_reason', reason, 'ended_ms', at)
redis.call('ZADD', ENDED, at, id)
