-- leases: read leases. Changes nothing.
--
-- ARGV   ids; at most 16
-- reply  report of 'leases', …: each lease as view, false for one that has no record
local reply = report('leases')
for _, id in ipairs(ARGV) do reply[#reply + 1] = view(id) end
return reply
