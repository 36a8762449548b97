package lease

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// DefaultPool is the pool of a request that names none.
const DefaultPool = "default"

// MinTTL is the shortest TTL: a holder keeps alive every third of it, and intervals are told in whole seconds.
const MinTTL = 3 * time.Second

// Request is what a client asks for.
type Request struct {
	Pool     string        `json:"pool"`
	Selector string        `json:"selector"` // any device that matches; "" for every device
	Name     string        `json:"name"`     // this one device; "" for any
	TTL      time.Duration `json:"ttl"`      // 0 for the pool's
	MaxHold  time.Duration `json:"max_hold"` // 0 for the pool's
	Holder   string        `json:"holder"`
	Purpose  string        `json:"purpose"`
	Link     string        `json:"link"`
}

// Digest is the same for two requests exactly when they ask for the same.
func (r Request) Digest() string {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and integers always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Demand is what a request means in an inventory: the devices that can satisfy it.
type Demand struct {
	Device   string   // the one device, when the request names one
	Classes  []string // the classes whose devices can
	Matching int      // how many devices can
}

// Grant is what the store needs to grant a lease.
type Grant struct {
	ID      ID
	Request Request
	Demand  Demand
	TTL     time.Duration // how long the lease lives without keepalive
	MaxHold time.Duration // how long it lives with them
}

// KeepaliveInterval is how often to keep a lease of this TTL alive: a third of it, so that two keepalives may be lost.
func KeepaliveInterval(ttl time.Duration) time.Duration { return (ttl / 3).Truncate(time.Second) }
