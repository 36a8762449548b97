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

// DefaultPriority and MaxPriority bound the priority of a request: 0 to 9, the highest first in line.
const (
	DefaultPriority = 5
	MaxPriority     = 9
)

// Request is what a client asks for.
type Request struct {
	Pool     string        `json:"pool"`
	Demands  []Demand      `json:"demands"` // none for one device, whichever
	Priority int           `json:"priority"`
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

// Grant is what the store needs to grant a lease.
type Grant struct {
	ID       ID
	Request  Request       // with demands in their normal form
	Wants    []Want        // what each demand means
	Matching int           // how many devices of the pool can satisfy any of them
	TTL      time.Duration // how long the lease lives without keepalive
	MaxHold  time.Duration // how long it lives with them
	Wait     bool          // whether to stand in line when it can't be granted now
	Queueing Queueing      // the pool's rules of the line
	Limits   Limits        // the pool's
}

// KeepaliveInterval is how often to keep a lease of this TTL alive: a third of it, so that two keepalives may be lost.
func KeepaliveInterval(ttl time.Duration) time.Duration { return (ttl / 3).Truncate(time.Second) }
