-- retire: forget devices that left the inventory. One that is leased stays so until its lease ends.
--
-- ARGV   devices; at most 128
-- reply  {'retired', now, ended, devices that are still leased}
local leased = 0
for _, device in ipairs(ARGV) do
  local class = redis.call('HGET', DEVICE .. device, 'class')
  if class then
    redis.call('HSET', DEVICE .. device, 'state', 'removed')
  else
    redis.call('SREM', DEVICES, device)
  end
  if heldOut(device, class or '') then leased = leased + 1 else settle(device) end
end
return { 'retired', NOW, ended, leased }
