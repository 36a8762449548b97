-- guard: see whether Redis still has the pool's state, and pause grants if not. Each replica does so once a second.
--
-- ARGV   as guard in epoch.lua
-- reply  report of 'guarded', …: as there
return report('guarded', unpack(guard(false)))
