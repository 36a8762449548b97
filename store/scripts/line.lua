-- line: who waits for what, and how what is free is handed out. It is the body of the function openLine in serve.lua, which a
-- script calls when it has to do with the line: most have not, and to define all this takes longer than what they do.
--
-- The line is walked in order. Each ticket is considered for what is free and not spoken for: when it can have all that it
-- wants, it is granted; else what it could use is spoken for, so that nobody behind it takes that. What is spoken for is
-- worked out anew each time, and stored nowhere. A script that has done its work considers no more: what the others could use
-- it hands to nobody, and the Store calls again if something was granted.

-- extend has a key live for some ms, unless it lives longer already.
local function extend(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end

-- A plan is wants, read: demands is how many devices each is to have and which classes and devices may be these, size is how
-- many devices that makes, and nodes is all of the classes and devices, each once.
local plans = {}

local function planOf(wants)
  if plans[wants] then return plans[wants] end
  local plan, known = { demands = {}, size = 0, nodes = {} }, {}
  for count, options in string.gmatch(wants, '(%d+)%*([^;]*)') do
    local may = {}
    for node in string.gmatch(options, '[^|]+') do
      may[node] = true
      if not known[node] then plan.nodes[#plan.nodes + 1] = node end
      known[node] = true
    end
    plan.demands[#plan.demands + 1] = { count = tonumber(count), may = may }
    plan.size = plan.size + tonumber(count)
  end
  plans[wants] = plan
  return plan
end

-- entry is the member at a place of a sorted set, and its score; nil behind its end. What was read is kept, and each time more
-- is read at once.
local function entry(set, at)
  while at > #set.members and not set.all do
    local n = math.max(1, math.min(set.read, 32))
    local found = redis.call('ZRANGE', set.key, set.read, set.read + n - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
      set.members[#set.members + 1], set.scores[#set.scores + 1] = found[i], tonumber(found[i + 1])
    end
    set.read, set.all = set.read + #found / 2, #found < 2 * n
  end
  return set.members[at], set.scores[at]
end

-- sorted is a sorted set of which nothing was read yet.
local function sorted(key) return { key = key, members = {}, scores = {}, read = 0 } end

-- strike removes a wrong member, which was read.
local function strike(set, member) set.read = set.read - redis.call('ZREM', set.key, member) end

-- joinQueues and leaveQueues put a ticket in line for what it wants, and take it out.
local function joinQueues(id, wants, order)
  for _, node in ipairs(planOf(wants).nodes) do
    redis.call('ZADD', QUEUE_FOR .. node, order, id)
    if isClass(node) then
      redis.call('ZADD', WANTED, 0, node)
    else
      local class = redis.call('HGET', DEVICE .. node, 'class')
      if class and redis.call('ZSCORE', FREE .. class, node) then redis.call('ZADD', WANTED, 1, node) end
    end
    fresh[node] = true
  end
end

local function leaveQueues(id, wants)
  local list = planOf(wants).nodes
  for _, node in ipairs(list) do
    redis.call('ZREM', QUEUE_FOR .. node, id)
    if redis.call('EXISTS', QUEUE_FOR .. node) == 0 then redis.call('ZREM', WANTED, node) end
  end
  work = work + 2 * #list
end

-- leave takes a ticket out of the line, and tells who waits for it.
local function leave(id, wants)
  redis.call('ZREM', QUEUE, id)
  redis.call('ZREM', TICKETS, id)
  redis.call('ZREM', ASKED, id)
  leaveQueues(id, wants)
  redis.call('PUBLISH', CHANNEL, id)
end

-- drop ends a lease that waits.
local function drop(id, reason, at)
  local f = redis.call('HMGET', LEASE .. id, 'wants', 'holder')
  local wants = f[1]
  leave(id, wants)
  close(id, f[2], reason, at, -1)
  event(STATE_OF[reason], 'lease', id, 'reason', reason)
  work = work + 12
  freed = true -- what it spoke for
  for _, node in ipairs(planOf(wants).nodes) do fresh[node] = true end
end

-- notice puts devices that are asked for by name where they belong, if they are in no index though nobody holds them: after
-- their locks were removed by hand.
local function notice(wants)
  for _, node in ipairs(planOf(wants).nodes) do
    local class = not isClass(node) and redis.call('EXISTS', LOCK .. node) == 0 and redis.call('HGET', DEVICE .. node, 'class')
    if class and not redis.call('ZSCORE', FREE .. class, node) and not redis.call('ZSCORE', MAINTENANCE .. class, node) then
      settle(node)
    end
  end
end

-- ask has a ticket wait on for as long as it may without being asked for.
local function ask(id)
  local f = redis.call('HMGET', LEASE .. id, 'ask_ms', 'hold_ms', 'grace_ms', 'holder', 'wants')
  local horizon = f[1] + f[2] + f[3] + RETENTION
  redis.call('ZREM', TICKETS, id) -- first, as the rule says: memory may be full
  redis.call('ZADD', TICKETS, NOW + f[1], id)
  extend(LEASE .. id, horizon)
  if f[4] ~= '' then extend(HOLDER .. f[4], horizon) end
  notice(f[5])
  return f[5]
end

-- nextNumber is the next number of the pool, for a place in line, of those that fences are, and draw takes it. Numbers rise, also
-- after Redis lost its data.
local function nextNumber() return math.max(tonumber(redis.call('GET', FENCE) or 0) + 1, MICROSECONDS) end

local function draw() redis.call('SET', FENCE, nextNumber()) end

local paused = redis.call('EXISTS', PAUSED) == 1 -- then nothing is to be had
local spoken, barred = {}, {}               -- devices, classes and devices
local checked = {}                         -- of each device that was looked at, its grants so far, false if it is not to be had
local changes = {}                         -- how often something of a class, or a device, was spoken for
local shelves = {}                         -- of each class, its free devices as far as they were read, the longest free first

-- shelved is the first free device of a class that is not spoken for, at a place of its shelf or behind it, and that place.
local function shelved(class, at)
  local shelf = shelves[class]
  if not shelf then
    shelf = sorted(FREE .. class)
    shelf.first, shelves[class] = 1, shelf
  end
  at = math.max(at, shelf.first)
  while true do
    local name, since = entry(shelf, at)
    if not name then return nil end
    if not spoken[name] and checked[name] ~= false then return { name = name, since = since, class = class }, at end
    if at == shelf.first then shelf.first = at + 1 end
    at = at + 1
  end
end

-- usable reports whether a device is really to be had. An entry among the free of one that is not is wrong, and goes.
local function usable(device)
  local name = device.name
  if checked[name] == nil then
    local f = redis.call('HMGET', DEVICE .. name, 'state', 'grants')
    checked[name] = f[1] == 'in_service' and redis.call('EXISTS', LOCK .. name) == 0 and (f[2] or '0')
    if not checked[name] then strike(shelves[device.class] or sorted(FREE .. device.class), name) end
  end
  device.grants = checked[name]
  return checked[name] ~= false
end

local named = {} -- devices that were asked for by name, false for those that are not to be had

-- byName is the device of a name, unless it is not to be had or spoken for.
local function byName(name)
  if named[name] == nil then
    local class = redis.call('HGET', DEVICE .. name, 'class')
    local since = class and redis.call('ZSCORE', FREE .. class, name)
    if not since and redis.call('ZSCORE', WANTED, name) then redis.call('ZREM', WANTED, name) end
    local device = since and { name = name, since = tonumber(since), class = class }
    named[name] = device and usable(device) and device or false
  end
  return not spoken[name] and named[name] or nil
end

-- candidate is the first device at a place, or behind it, of a class or of the one device that is named, and its place.
local function candidate(node, at)
  if paused or barred[node] then return nil end
  if isClass(node) then return shelved(node, at) end
  return at == 1 and byName(node) or nil, 1
end

-- match fills a plan with devices: goes through those that may be in it, the longest free first, and takes each that still
-- leaves room for all taken so far, by augmenting paths (H. W. Kuhn, The Hungarian method for the assignment problem, 1955).
-- So a full assignment is found when there is one. It returns the devices in the order of the demands, and whether they are all.
local function match(plan)
  local next, place, taken, filled, tried = {}, {}, {}, 0, {}
  for i, demand in ipairs(plan.demands) do
    taken[i] = {}
    for node in pairs(demand.may) do
      if not place[node] then next[node], place[node] = candidate(node, 1) end
    end
  end
  local function put(device, seen)
    for i, demand in ipairs(plan.demands) do
      if #taken[i] < demand.count and (demand.may[device.class] or demand.may[device.name]) then
        taken[i][#taken[i] + 1] = device
        return true
      end
    end
    for i, demand in ipairs(plan.demands) do
      if not seen[i] and (demand.may[device.class] or demand.may[device.name]) then
        seen[i] = true
        for k, other in ipairs(taken[i]) do
          if put(other, seen) then
            taken[i][k] = device
            return true
          end
        end
      end
    end
    return false
  end
  while filled < plan.size do
    local best, from
    for node, device in pairs(next) do
      if not best or device.since < best.since or (device.since == best.since and device.name < best.name) then
        best, from = device, node
      end
    end
    if not best then break end
    next[from], place[from] = candidate(from, place[from] + 1)
    if not tried[best.name] and usable(best) then
      tried[best.name] = true
      if put(best, {}) then
        filled = filled + 1
      elseif isClass(from) then
        next[from] = nil -- nor will any other of its class fit
      end
    end
  end
  local devices = {}
  for _, some in ipairs(taken) do
    for _, device in ipairs(some) do devices[#devices + 1] = device end
  end
  return devices, filled > 0 and filled == plan.size
end

-- consider finds what a lease could use of what is not spoken for, and speaks for that. It returns the devices, and whether
-- they are all that it wants.
local function consider(wants)
  local plan = planOf(wants)
  local devices, all = match(plan)
  for _, device in ipairs(devices) do
    spoken[device.name] = true
    changes[device.name], changes[device.class] = 1, (changes[device.class] or 0) + 1
  end
  work = work + 8 + #devices + #plan.nodes * (#devices / 10 + 0.25) -- what Lua does itself counts as well
  if all then work = work + 15 + 5 * #devices end
  return devices, all
end

-- hopeful reports whether a lease could be had if nobody else were in line. Then the line may have to be served for it.
local function hopeful(wants)
  local plan = planOf(wants)
  local _, all = match(plan)
  if not all then return false end
  for _, node in ipairs(plan.nodes) do fresh[node] = true end
  return true
end

local queues               -- the queues of the line that may have a device, each with its first ticket not considered yet
local considered = {}
local grants = {}          -- {id, devices}, in the order in which they are to be granted

local function openQueues()
  local list, known = {}, {}
  for _, node in ipairs(redis.call('ZRANGE', WANTED, 0, 2 * BATCH - 1)) do
    list[#list + 1] = { node = node, at = 1, tickets = sorted(QUEUE_FOR .. node) }
    known[node] = true
  end
  for node in pairs(fresh) do
    if not known[node] then list[#list + 1] = { node = node, at = 1, tickets = sorted(QUEUE_FOR .. node) } end
  end
  return list
end

-- head finds the first ticket of a queue that was not considered yet; false when there is none, or nothing for it.
local function head(queue)
  if queue.closed then return false end
  if queue.changes ~= changes[queue.node] or not queue.id then
    queue.changes, queue.closed = changes[queue.node], not candidate(queue.node, 1)
    if queue.closed then return false end
  end
  while not queue.id or considered[queue.id] do
    if queue.id then queue.at = queue.at + 1 end
    queue.id, queue.order = entry(queue.tickets, queue.at)
    if not queue.id then
      queue.closed = true
      return false
    end
  end
  return true
end

local function before(order, id, other, otherID) return order < other or (order == other and id < otherID) end

-- nextTicket is the first in line of those not considered yet that may get something, if it is before an order and id.
local function nextTicket(order, id)
  local first
  for _, queue in ipairs(queues) do
    if head(queue) and before(queue.order, queue.id, order, id) then first, order, id = queue, queue.order, queue.id end
  end
  return first
end

-- bar keeps what those could use that come before an order and id and were not considered.
local function bar(order, id)
  for _, queue in ipairs(queues) do
    if head(queue) and before(queue.order, queue.id, order, id) then barred[queue.node] = true end
  end
end

-- walk considers the tickets before an order and id.
local function walk(order, id)
  queues = queues or openQueues()
  while true do
    local queue = nextTicket(order, id)
    if not queue then return end
    if work >= 2 * WORK then
      more = more or #grants > 0 or next(considered) == nil
      return bar(order, id)
    end
    considered[queue.id] = true
    local f = redis.call('HMGET', LEASE .. queue.id, 'state', 'wants')
    if f[1] == 'pending' then
      local devices, all = consider(f[2])
      if all then
        work = work + 2 * #planOf(f[2]).nodes
        grants[#grants + 1] = { id = queue.id, devices = devices, wants = f[2] }
      end
    else -- a ticket that has no record
      for _, key in ipairs({ QUEUE, TICKETS, ASKED }) do redis.call('ZREM', key, queue.id) end
      strike(queue.tickets, queue.id)
      if redis.call('EXISTS', queue.tickets.key) == 0 then redis.call('ZREM', WANTED, queue.node) end
    end
  end
end

-- relinquish gives back to the line what a request spoke for that is refused.
local function relinquish(devices)
  for _, device in ipairs(devices) do
    spoken[device.name] = nil
    if shelves[device.class] then shelves[device.class].first = 1 end
  end
  queues = nil
end

-- award grants a lease its devices; see award.lua.
local function award(id, lease, devices)
  --> award
  waited[#waited + 1] = NOW - lease.create
  return view
end

-- handOut hands what was freed to the line, and grants.
local function handOut()
  if freed then walk(math.huge, '') end
  for _, grant in ipairs(grants) do
    local lease = grant.lease
    if not lease then
      leave(grant.id, grant.wants)
      local f = redis.call('HMGET', LEASE .. grant.id, 'ttl_ms', 'hold_ms', 'grace_ms', 'create_ms', 'holder')
      lease = { ttl = tonumber(f[1]), hold = tonumber(f[2]), grace = tonumber(f[3]), create = tonumber(f[4]), holder = f[5] }
    end
    grant.view = award(grant.id, lease, grant.devices)
  end
end

-- add has a new lease granted with what else is; then the grant that it returns has its view.
local function add(id, devices, lease)
  grants[#grants + 1] = { id = id, devices = devices, lease = lease }
  return grants[#grants]
end

-- pass has the walk leave out a ticket that was considered by itself.
local function pass(id) considered[id] = true end

return {
  planOf = planOf, joinQueues = joinQueues, leaveQueues = leaveQueues, drop = drop, ask = ask, extend = extend,
  nextNumber = nextNumber, draw = draw, notice = notice, hopeful = hopeful, walk = walk, consider = consider, relinquish = relinquish,
  add = add, pass = pass, handOut = handOut,
}
