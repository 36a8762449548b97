-- set_device: take a device out of service or put it back, and note why. A leased device stays leased until its lease ends.
--
-- ARGV   1 device, 2 'in_service' | 'maintenance' | '' to leave it, 3 '1' to set the note, 4 note
-- reply  report of an outcome
--        set        …: the device, as inspect
--        not_found
local device, state = ARGV[1], ARGV[2]
local old = redis.call('HGET', DEVICE .. device, 'state')
if not old or old == 'removed' then return report('not_found') end
if state == '' then state = old end
redis.call('HSET', DEVICE .. device, 'state', state)
if ARGV[3] == '1' then redis.call('HSET', DEVICE .. device, 'note', ARGV[4]) end
if redis.call('EXISTS', LOCK .. device) == 0 then settle(device) end
serve()
event(state, 'device', device, 'note', redis.call('HGET', DEVICE .. device, 'note') or '')
return report('set', inspect(device))
