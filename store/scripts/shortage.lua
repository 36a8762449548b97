-- shortage: why a lease can't be had. It comes after records.

local LOOKED = 16 -- the most active leases that are looked at for when the next one ends

local first = {} -- the leases that end first, flat with when
local ends = {}  -- of these, as far as they were looked at, when, and the devices with their classes

-- ending is the i-th lease to end: {when, devices and classes}; nil when there are not so many. The first is read by itself,
-- since it will often do.
local function ending(i)
  if i <= 2 and not first[2 * i] then
    for _, entry in ipairs(redis.call('ZRANGE', ACTIVE, i - 1, i == 1 and '0' or LOOKED - 1, 'WITHSCORES')) do
      first[#first + 1] = entry
    end
  end
  if not ends[i] and first[2 * i] then
    local held = {}
    for _, device in ipairs(words(redis.call('HGET', LEASE .. first[2 * i - 1], 'devices') or '')) do
      held[#held + 1] = device
      held[#held + 1] = redis.call('HGET', DEVICE .. device, 'class') or ''
    end
    ends[i] = { first[2 * i], held }
  end
  return ends[i]
end

-- nextEnd is the ms when the first lease ends that holds a device of some nodes; '' when none is known.
local function nextEnd(wanted)
  for i = 1, LOOKED do
    local lease = ending(i)
    if not lease then return '' end
    for _, node in ipairs(lease[2]) do
      if wanted[node] then return lease[1] end
    end
  end
  return ''
end

local counts = {}

-- count is how many devices of a class, or of a name whose class is not wanted, are in maintenance, and free.
local function count(node, wanted)
  if not isClass(node) then
    local class = redis.call('HGET', DEVICE .. node, 'class') or ''
    if wanted[class] then return { 0, 0 } end
    return { redis.call('ZSCORE', MAINTENANCE .. class, node) and 1 or 0, redis.call('ZSCORE', FREE .. class, node) and 1 or 0 }
  end
  counts[node] = counts[node] or { redis.call('ZCARD', MAINTENANCE .. node), redis.call('ZCARD', FREE .. node) }
  return counts[node]
end

-- shortage is why a lease can't be had now: {matching devices in maintenance, those that are free, ms when the first lease of
-- one ends ('' unknown)}.
local function shortage(wants)
  local list, wanted, maintenance, free = {}, {}, 0, 0
  for options in string.gmatch(wants, '%*([^;]*)') do
    for node in string.gmatch(options, '[^|]+') do
      if not wanted[node] then list[#list + 1] = node end
      wanted[node] = true
    end
  end
  for _, node in ipairs(list) do
    local n = count(node, wanted)
    maintenance, free = maintenance + n[1], free + n[2]
  end
  return { maintenance, free, nextEnd(wanted) }
end
