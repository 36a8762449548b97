-- prelude: what every script starts with. It is put in front of each of the others and does nothing by itself.
--
-- KEYS  1 the tag of a pool, ':{<pool>}', which every key of the pool has behind its first word; see poolKeys in keys.go. The
--       rest of a name comes from the arguments or from records of the same pool, hence all keys are in the same hash slot.
-- Time  is Redis's own, in ms since 1970, and stands still while a script runs.
-- Rule  checks come before writes, and DEL, PEXPIRE and ZREM before writes that need memory: a Redis that is out of memory
--       refuses a script at its first growing write only, so it still renews and releases, and nothing half-happens.
-- Speed Redis writes integers of up to 2^53 in full when calls are given them, but that takes as long as half a call: constants
--       are text. It runs each definition each time that a script is called, which takes the longer the more the function uses.
--       So in those that are called the most, the usual case comes first and defines nothing. What it shares with functions is a
--       body, which has a file of its own and comes where a line says so, such as "--> settle".
local TAG = KEYS[1]
local ONE = TAG .. ':' -- in front of the name of one of many
local LOCK, LEASE, DEVICE, HOLDER = 'lock' .. ONE, 'lease' .. ONE, 'device' .. ONE, 'holder' .. ONE
local FREE, MAINTENANCE, QUEUE_FOR = 'free' .. ONE, 'maintenance' .. ONE, 'queue' .. ONE
local ACTIVE, ENDED, DEVICES, FENCE, EVENTS = 'active' .. TAG, 'ended' .. TAG, 'devices' .. TAG, 'fence' .. TAG, 'events' .. TAG
local QUEUE, WANTED, TICKETS, ASKED = 'queue' .. TAG, 'wanted' .. TAG, 'tickets' .. TAG, 'asked' .. TAG
local PAUSED = 'paused' .. TAG

local BATCH = 128          -- the most that one script reads of anything that can grow
local WORK = 50            -- about how many calls to Redis one script makes for what may be left to the next
local RETENTION = 3600000  -- ms that the record of an ended lease outlives it
local KEPT = '10000'       -- about how many events a pool keeps
local CHANNEL = 'leases'   -- where a lease is announced that was granted from the line, or left it

local clock = redis.call('TIME')
local MICROSECONDS = clock[1] * 1000000 + clock[2]
local NOW = math.floor(MICROSECONDS / 1000)
local STAMP = NOW .. '' -- as text, for calls

-- What this script did beside its purpose; part of every reply, as report gives it.
local ended = {}     -- leases that it ended, flat: reason, ms held or -1 for one that was never granted
local waited = {}    -- of each lease that it granted, the ms between asking and grant
local more = false   -- whether there is more to do of what was due
local work = 0       -- about how many calls that took

-- Whether there may be something to hand out that was not there before, and which classes and devices that concerns.
local freed, fresh = false, {}
