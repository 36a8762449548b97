-- devices: read devices. Changes nothing.
--
-- ARGV   devices; at most 32
-- reply  report of 'devices', …: each device as inspect
local reply = report('devices')
for _, device in ipairs(ARGV) do reply[#reply + 1] = inspect(device) end
return reply
