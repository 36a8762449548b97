// Package config reads what the services are told from outside: the environment of a process, and the inventory file of
// the lab. It reports every mistake at once, says for each what is allowed, and never repeats a secret.
package config
