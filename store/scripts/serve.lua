-- serve: what scripts do at their beginning and end for the line. It comes after ends.
local function openLine()
  --> line
end

local line -- what openLine returned

local function theLine()
  line = line or openLine()
  return line
end

-- REAPED is how many of each the script looks at that are due; each takes ten calls at least.
local REAPED = WORK / 10 + 1

-- reapOne ends a lease that is due. The lock decides: one whose locks live on is not due, and its entry is put right.
local function reapOne(id)
  local lease = record(id)
  local left = lease and remaining(id, lease.devices)
  if not lease then
    redis.call('ZREM', ACTIVE, id)
  elseif left > 0 then
    redis.call('ZREM', ACTIVE, id) -- first, as the rule says: memory may be full
    redis.call('ZADD', ACTIVE, NOW + left, id)
  else
    finish(id, lease, lost(id, lease))
    work = work + 7 * #lease.devices
  end
  work = work + 10
end

-- reap ends leases and tickets that are due.
local function reap()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ACTIVE, '-inf', STAMP, 'LIMIT', 0, REAPED)) do
    if work >= WORK then more = true else reapOne(id) end
  end
  local tickets = redis.call('ZRANGEBYSCORE', TICKETS, '-inf', STAMP, 'WITHSCORES', 'LIMIT', 0, REAPED)
  for i = 1, #tickets, 2 do
    if work >= WORK then
      more = true
    elseif redis.call('HGET', LEASE .. tickets[i], 'state') == 'pending' then
      theLine().drop(tickets[i], 'abandoned', tonumber(tickets[i + 1]))
    else -- it has no record
      work = work + 10
      for _, key in ipairs({ QUEUE, TICKETS, ASKED }) do redis.call('ZREM', key, tickets[i]) end
    end
  end
end

-- serve hands what was freed to the line. Whatever may free something ends with it.
local function serve()
  if line or (freed and redis.call('EXISTS', QUEUE) == 1) then theLine().handOut() end
end
