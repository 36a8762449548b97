package store

import (
	"embed"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua
var sources embed.FS

// script is a Lua script under its name.
type script struct {
	name string
	*redis.Script
}

// scripts are all of them, each with the prelude in front.
type scripts struct {
	allocate, keepalive, release, reap, register, retire, setDevice, devices, leases script
}

func loadScripts() *scripts { return loadScriptsWith(readScript) }

// loadScriptsWith makes the scripts from sources that read returns by name.
func loadScriptsWith(read func(name string) string) *scripts {
	prelude := read("prelude")
	load := func(name string) script { return script{name, redis.NewScript(prelude + "\n" + read(name))} }
	return &scripts{
		allocate: load("allocate"), keepalive: load("keepalive"), release: load("release"), reap: load("reap"),
		register: load("register"), retire: load("retire"), setDevice: load("set_device"), devices: load("devices"),
		leases: load("leases"),
	}
}

func readScript(name string) string {
	text, err := sources.ReadFile("scripts/" + name + ".lua")
	if err != nil {
		panic(err) // the file is part of the program
	}
	return string(text)
}
