package store

import (
	"embed"
	"regexp"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua
var sources embed.FS

// script is a Lua script under its name.
type script struct {
	name     string
	promises bool // whether holders are told what it answers, so that replicas may have to confirm it
	joint    bool // whether it takes the arguments of several calls, behind each other
	*redis.Script
}

// scripts are all of them, each with what they share.
type scripts struct {
	allocate, poll, keepalive, release, reap, requeue, register, retire, setDevice, devices, leases, confirm, confirmed, guard script
}

func loadScripts() *scripts { return loadScriptsWith(readScript) }

// loadScriptsWith makes the scripts from sources that read returns by name.
func loadScriptsWith(read func(name string) string) *scripts {
	compose := func(name string, parts ...string) script {
		return script{name: name, Script: redis.NewScript(joinSources(read, parts))}
	}
	reading := func(name string) script { return compose(name, "prelude", "records", "shortage", "view", name) }
	changing := func(name string) script { return compose(name, "prelude", "records", "ends", "serve", name) }
	showing := func(name string) script {
		return compose(name, "prelude", "records", "ends", "serve", "shortage", "view", name)
	}
	promising := func(sc script) script {
		sc.promises = true
		return sc
	}
	joint := func(sc script) script {
		sc.joint = true
		return sc
	}
	return &scripts{
		allocate: promising(compose("allocate",
			"prelude", "allocate", "records", "shortage", "allocate_refuse", "ends", "serve", "view", "allocate_other")),
		keepalive: joint(promising(compose("keepalive", "keepalive", "prelude", "records", "ends", "serve", "keepalive_other"))),
		release:   compose("release", "prelude", "release", "records", "ends", "serve", "release_other"),
		confirm:   compose("confirm", "confirm"), confirmed: compose("confirmed", "confirmed"),
		devices: reading("devices"), leases: reading("leases"),
		poll: promising(showing("poll")), setDevice: showing("set_device"),
		reap: changing("reap"), requeue: changing("requeue"), retire: changing("retire"),
		register: compose("register", "prelude", "records", "ends", "serve", "epoch", "register"),
		guard:    compose("guard", "prelude", "records", "epoch", "guard"),
	}
}

// body is a line of a source at whose place another source comes: "--> settle".
var body = regexp.MustCompile(`(?m)^[ ]*--> (\w+)$`)

// joinSources puts sources behind each other, with the bodies of others where they say so.
func joinSources(read func(name string) string, names []string) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = body.ReplaceAllStringFunc(read(name), func(line string) string {
			return joinSources(read, body.FindStringSubmatch(line)[1:])
		})
	}
	return strings.Join(texts, "\n")
}

func readScript(name string) string {
	text, err := sources.ReadFile("scripts/" + name + ".lua")
	if err != nil {
		panic(err) // the file is part of the program
	}
	return string(text)
}
