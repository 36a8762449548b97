package lease_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/automation-infra/automation-infra/lease"
)

func TestIDIsTheTokensFingerprint(t *testing.T) {
	t.Parallel()
	// From SHA-256 and RFC 4648 by other programs:
	// printf %s "$token" | sha256sum | xxd -r -p | base32 | tr A-Z a-z | cut -c1-26
	const token, want = lease.Token("correct-horse-battery-staple"), "default-q7f6x7xlybpxyvfmsm3mjnf35s"
	id := token.ID("default")
	if id.String() != want {
		t.Errorf("id %s, want %s", id, want)
	}
	parsed, err := lease.ParseID(want)
	if err != nil || parsed != id || parsed.Pool() != "default" {
		t.Errorf("parsed %v, %v", parsed, err)
	}
	if !id.HeldBy(token) || id.HeldBy(token+"x") || id.HeldBy("") {
		t.Error("a token holds what is not its own, or not what is")
	}
}

func TestNewTokensAreValidAndDiffer(t *testing.T) {
	t.Parallel()
	a, b := lease.NewToken(), lease.NewToken()
	if _, err := lease.ParseToken(string(a)); err != nil || a == b {
		t.Errorf("tokens %q and %q: %v", string(a), string(b), err)
	}
}

func TestParseID(t *testing.T) {
	t.Parallel()
	print26 := strings.Repeat("a", 26)
	for id, valid := range map[string]bool{
		"default-" + print26: true, "a-b-" + print26: true, "p-" + strings.Repeat("7", 26): true,
		"": false, print26: false, "-" + print26: false, "P-" + print26: false, "a-" + print26 + "a": false,
		"a-" + strings.Repeat("1", 26): false, "{a}-" + print26: false, "a-" + strings.ToUpper(print26): false, "a\n-" + print26: false,
	} {
		if _, err := lease.ParseID(id); (err == nil) != valid || (err != nil && !errors.Is(err, lease.ErrInvalid)) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestParseToken(t *testing.T) {
	t.Parallel()
	for token, valid := range map[string]bool{
		strings.Repeat("a", 22): true, strings.Repeat("a", 128): true, strings.Repeat("A9._~+/-", 4) + "==": true,
		"": false, strings.Repeat("a", 21): false, strings.Repeat("a", 129): false, strings.Repeat("ü", 30): false,
		strings.Repeat("a", 30) + " ": false, strings.Repeat("a", 30) + "\n": false, "=" + strings.Repeat("a", 30): false,
	} {
		_, err := lease.ParseToken(token)
		if (err == nil) != valid {
			t.Errorf("%q: %v", token, err)
		}
		if err != nil && token != "" && strings.Contains(err.Error(), token) {
			t.Errorf("the error repeats the token: %v", err)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	device := lease.Device{Connection: lease.Connection{"password": "hunter2"}}
	token := lease.Token("hunter2")
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", token, "connection", device.Connection)
	printed := fmt.Sprintf("%v %+v %#v %s %v %+v %#v %s", token, token, token, token, device, device, device, device.Connection)
	if strings.Contains(printed+log.String(), "hunter2") {
		t.Errorf("printed: %s, logged: %s", printed, log.String())
	}
	if text, err := json.Marshal(device.Connection); err != nil || string(text) != `{"password":"hunter2"}` {
		t.Errorf("the holder gets %s, %v", text, err)
	}
}

func TestEveryReasonHasAStateAndWords(t *testing.T) {
	t.Parallel()
	states := map[lease.State]bool{}
	for _, s := range lease.States() {
		states[s] = true
	}
	for _, r := range lease.Reasons() {
		if !states[r.State()] || r.Explain() == string(r) {
			t.Errorf("reason %s: state %q, %q", r, r.State(), r.Explain())
		}
	}
}

func TestRemaining(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for want, l := range map[time.Duration]lease.Lease{
		time.Second: {State: lease.StateActive, Expire: now.Add(time.Second), Now: now},
		0:           {State: lease.StateReleased, Expire: now.Add(time.Second), Now: now},
	} {
		if l.Remaining() != want {
			t.Errorf("%+v: remaining %s", l, l.Remaining())
		}
	}
	if late := (&lease.Lease{State: lease.StateActive, Expire: now, Now: now.Add(time.Second)}); late.Remaining() != 0 {
		t.Errorf("in its grace: remaining %s", late.Remaining())
	}
}

func TestWaited(t *testing.T) {
	t.Parallel()
	created := time.Now()
	after := func(seconds int) time.Time { return created.Add(time.Duration(seconds) * time.Second) }
	for name, c := range map[string]struct {
		lease lease.Lease
		want  time.Duration
	}{
		"pending":             {lease.Lease{Now: after(7)}, 7 * time.Second},
		"granted":             {lease.Lease{Grant: after(3), Now: after(7)}, 3 * time.Second},
		"granted at once":     {lease.Lease{Grant: created, Now: after(7)}, 0},
		"granted and ended":   {lease.Lease{Grant: after(3), Ended: &lease.Ended{Time: after(5)}, Now: after(7)}, 3 * time.Second},
		"ended while waiting": {lease.Lease{Ended: &lease.Ended{Time: after(5)}, Now: after(7)}, 5 * time.Second},
	} {
		c.lease.Create = created
		if got := c.lease.Waited(); got != c.want {
			t.Errorf("%s: waited %s, want %s", name, got, c.want)
		}
	}
}

func TestDemandOf(t *testing.T) {
	t.Parallel()
	l := lease.Lease{Demands: []lease.Demand{{As: "boards", Count: 2}, {As: "host", Count: 1}}}
	for device, want := range []string{"boards", "boards", "host", ""} {
		if got := l.DemandOf(device); got.As != want {
			t.Errorf("device %d satisfies %+v, want %q", device, got, want)
		}
	}
}

// What is parsed by hand is what these say.
var (
	tokenPattern = regexp.MustCompile(lease.TokenPattern)
	namePattern  = regexp.MustCompile(lease.NamePattern)
	printPattern = regexp.MustCompile(`-[a-z2-7]{26}$`)
)

func FuzzParseID(f *testing.F) {
	f.Add("default-q7f6x7xlybpxyvfmsm3mjnf35s")
	f.Add("a-b.c_d-" + strings.Repeat("2", 26))
	f.Fuzz(func(t *testing.T, s string) {
		id, err := lease.ParseID(s)
		pool, found := strings.CutSuffix(s, "-"+s[max(0, len(s)-26):])
		if matches := found && namePattern.MatchString(pool) && printPattern.MatchString(s); matches != (err == nil) {
			t.Errorf("%q: %v", s, err)
		}
		if err != nil {
			return
		}
		if id.String() != s || strings.ContainsAny(id.Pool(), "{}:/ \n") {
			t.Errorf("%q became %q", s, id)
		}
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add(strings.Repeat("a", 22))
	f.Fuzz(func(t *testing.T, s string) {
		token, err := lease.ParseToken(s)
		if matches := tokenPattern.MatchString(s); matches != (err == nil) {
			t.Errorf("%q: %v", s, err)
		}
		if err != nil {
			return
		}
		id := token.ID("default")
		if parsed, err := lease.ParseID(id.String()); err != nil || !parsed.HeldBy(token) {
			t.Errorf("%q: id %s: %v", s, id, err)
		}
	})
}

func FuzzValidateName(f *testing.F) {
	f.Add("rpi4-01")
	f.Fuzz(func(t *testing.T, s string) {
		if err := lease.ValidateName(s); namePattern.MatchString(s) != (err == nil) {
			t.Errorf("%q: %v", s, err)
		}
	})
}
