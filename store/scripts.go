package store

import (
	"embed"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua
var sources embed.FS

// script is a Lua script under its name.
type script struct {
	name string
	*redis.Script
}

// scripts are all of them, each with what they share in front.
type scripts struct {
	allocate, poll, keepalive, release, reap, requeue, register, retire, setDevice, devices, leases script
}

func loadScripts() *scripts { return loadScriptsWith(readScript) }

// loadScriptsWith makes the scripts from sources that read returns by name.
func loadScriptsWith(read func(name string) string) *scripts {
	prelude := read("prelude")
	line := "local function openLine()\n" + read("line") + "end\n"
	serve, view := read("serve"), read("view")
	compose := func(name string, parts ...string) script {
		return script{name, redis.NewScript(strings.Join(parts, "\n"))}
	}
	changing := func(name string) script { return compose(name, prelude, line, serve, read(name)) }
	showing := func(name string) script { return compose(name, prelude, line, serve, view, read(name)) }
	return &scripts{
		allocate: showing("allocate"), poll: showing("poll"),
		keepalive: compose("keepalive", read("keepalive"), prelude, line, serve, read("keepalive_other")),
		release:   changing("release"), reap: changing("reap"), requeue: changing("requeue"), register: changing("register"),
		retire: changing("retire"), setDevice: showing("set_device"), devices: showing("devices"), leases: showing("leases"),
	}
}

func readScript(name string) string {
	text, err := sources.ReadFile("scripts/" + name + ".lua")
	if err != nil {
		panic(err) // the file is part of the program
	}
	return string(text)
}
