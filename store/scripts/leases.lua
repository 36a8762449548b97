-- leases: read leases. Changes nothing.
--
-- ARGV   ids; at most 128
-- reply  {'leases', now, ended, then each lease as view in the prelude, nil for one that has no record}
local reply = { 'leases', NOW, ended }
for _, id in ipairs(ARGV) do reply[#reply + 1] = view(id) end
return reply
