-- devices: read devices. Changes nothing.
--
-- ARGV   devices; at most 128
-- reply  {'devices', now, ended, then each device as inspect in the prelude}
local reply = { 'devices', NOW, ended }
for _, device in ipairs(ARGV) do reply[#reply + 1] = inspect(device) end
return reply
