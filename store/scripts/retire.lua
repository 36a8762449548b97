-- retire: forget devices that left the inventory. One that is leased stays so until its lease ends.
--
-- ARGV   devices; at most 128
-- reply  {'retired', now, ended, devices that are still leased}
local leased = 0
for _, device in ipairs(ARGV) do
  if redis.call('EXISTS', DEVICE .. device) == 1 then
    redis.call('HSET', DEVICE .. device, 'state', 'removed')
  else
    redis.call('SREM', DEVICES, device)
  end
  if redis.call('EXISTS', LOCK .. device) == 1 then leased = leased + 1 else settle(device) end
end
return { 'retired', NOW, ended, leased }
