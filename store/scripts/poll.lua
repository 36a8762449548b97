-- poll: ask for a lease. One that waits does so on, and is granted if it can be, whatever kept that from happening before.
--
-- ARGV   1 id
-- reply  report of an outcome
--        polled      …: the lease, as view
--        not_found
local id = ARGV[1]
reap()
local lease = record(id)
if lease and lease.state == 'pending' and theLine().hopeful(theLine().ask(id)) then freed = true end
serve()
if not lease then return report('not_found') end
lease = record(id)
if lease.state == 'active' then shown(id, lease) end
return report('polled', view(id))
