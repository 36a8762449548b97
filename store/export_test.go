package store

import (
	"sync"

	"github.com/redis/go-redis/v9"
)

// NewWithScripts is New with sources that edit has changed; it is given each source of the program by its name.
func NewWithScripts(rdb redis.UniversalClient, o Options, edit func(name, source string) string) *Store {
	return newStore(rdb, o, loadScriptsWith(func(name string) string { return edit(name, readScript(name)) }))
}

// ScriptSource is a source by its name.
func ScriptSource(name string) string { return readScript(name) }

// ScriptNames are the names of the scripts by their hashes, as Redis knows them.
var ScriptNames = sync.OnceValue(func() map[string]string {
	s, names := loadScripts(), map[string]string{}
	for _, script := range []script{
		s.allocate, s.poll, s.keepalive, s.release, s.reap, s.requeue, s.register, s.retire, s.setDevice, s.devices, s.leases, s.confirm, s.guard,
	} {
		names[script.Hash()] = script.name
	}
	return names
})
