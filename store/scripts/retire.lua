-- retire: forget devices that left the inventory. One that is leased stays so until its lease ends.
--
-- ARGV   devices; at most 32
-- reply  report of 'retired'
for _, device in ipairs(ARGV) do
  local class = redis.call('HGET', DEVICE .. device, 'class')
  if class then
    redis.call('HSET', DEVICE .. device, 'state', 'removed')
  else
    redis.call('SREM', DEVICES, device)
  end
  if not heldOut(device, class or '') then settle(device) end
end
serve()
return report('retired')
