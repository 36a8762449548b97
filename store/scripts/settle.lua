-- settle: the body that puts a device, which no lock holds, where its state says and nowhere else: among the free, in
-- maintenance, or out of our sight. A device that is already there keeps its place; since is the ms it came there.
local f = redis.call('HMGET', DEVICE .. device, 'class', 'state')
local class, state = f[1], f[2]
if state and state ~= 'in_service' then redis.call('ZREM', FREE .. class, device) end
if state and state ~= 'maintenance' then redis.call('ZREM', MAINTENANCE .. class, device) end
if state == 'in_service' then
  redis.call('ZADD', FREE .. class, 'NX', since, device)
  freed, fresh[class], fresh[device] = true, true, true
elseif state == 'maintenance' then
  redis.call('ZADD', MAINTENANCE .. class, 'NX', since, device)
elseif state then
  redis.call('DEL', DEVICE .. device)
  redis.call('SREM', DEVICES, device)
end
