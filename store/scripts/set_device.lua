-- set_device: take a device out of service or put it back, and note why. A leased device stays leased until its lease ends.
--
-- ARGV   1 device, 2 'in_service' | 'maintenance' | '' to leave it, 3 '1' to set the note, 4 note
-- reply  {outcome, now, ended, …} with the outcomes
--        set        …: the device, as inspect in the prelude
--        not_found
local device, state = ARGV[1], ARGV[2]
local old = redis.call('HGET', DEVICE .. device, 'state')
if not old or old == 'removed' then return { 'not_found', NOW, ended } end
if state == '' then state = old end
redis.call('HSET', DEVICE .. device, 'state', state)
if ARGV[3] == '1' then redis.call('HSET', DEVICE .. device, 'note', ARGV[4]) end
if redis.call('EXISTS', LOCK .. device) == 0 then settle(device) end
event(state, 'device', device, 'note', redis.call('HGET', DEVICE .. device, 'note') or '')
return { 'set', NOW, ended, inspect(device) }
