package lease

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"log/slog"
	"strings"
)

// Token is the holder's secret: who presents it may keep, read and release the lease. It prints as "[redacted]"; convert
// it to string where it is really meant to leave the process.
type Token string

// TokenPattern is what a token matches: the characters of a bearer token (RFC 6750, section 2.1), and enough of them that
// 128 random bits fit in base64.
const TokenPattern = `^[A-Za-z0-9._~+/-]{22,128}={0,2}$` //nolint:gosec // a pattern, no credential

// NewToken returns a fresh random token of 130 bits.
func NewToken() Token { return Token(rand.Text()) }

// ParseToken checks a token that a client sent; the error is CodeInvalid and does not repeat it.
func ParseToken(s string) (Token, error) {
	if !isToken(s) {
		return "", Invalid("Lease-Token", "a lease token is 22 to 128 random characters of A-Z, a-z, 0-9, '-', '.', '_', '~', '+' and '/', and may end in '='")
	}
	return Token(s), nil
}

// isToken reports whether s matches TokenPattern. It is asked for every request, where regular expressions took
// a twentieth of the keepalive service's time.
func isToken(s string) bool {
	body := strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
	return 22 <= len(body) && len(body) <= 128 && consistsOf(body, func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._~+/-", c) >= 0
	})
}

func consistsOf(s string, allowed func(byte) bool) bool {
	for i := range len(s) {
		if !allowed(s[i]) {
			return false
		}
	}
	return true
}

// ID returns the id of the lease that this token holds in a pool.
func (t Token) ID(pool string) ID {
	of := fingerprint(t)
	return ID{text: pool + "-" + string(of[:]), pool: len(pool)}
}

// String hides the token.
func (Token) String() string { return "[redacted]" }

// GoString hides the token.
func (t Token) GoString() string { return t.String() }

// LogValue hides the token.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// ID names a lease: the pool, and the fingerprint of the token that holds it. Because it is derived from the token, a
// wrong token is recognised without asking anyone, and a repeated allocation is the same lease. Ids are no secret.
type ID struct {
	text string // <pool>-<fingerprint>
	pool int    // the length of the pool's name
}

// printLen is the length of a fingerprint.
const printLen = 26

// ParseID reads an id of the form <pool>-<26 lower-case base32 characters>; the error is CodeInvalid.
func ParseID(s string) (ID, error) {
	pool := len(s) - printLen - 1
	if pool < 0 || s[pool] != '-' || !isName(s[:pool]) || !consistsOf(s[pool+1:], isPrint) {
		return ID{}, Invalid("id", "a lease id is <pool>-<26 characters of a-z and 2-7>")
	}
	return ID{text: s, pool: pool}, nil
}

func isPrint(c byte) bool { return 'a' <= c && c <= 'z' || '2' <= c && c <= '7' }

// Pool returns the pool of the lease.
func (id ID) Pool() string { return id.text[:id.pool] }

// String returns the id as clients see it.
func (id ID) String() string { return id.text }

// HeldBy reports whether the token is this lease's. It takes the same time for every wrong token.
func (id ID) HeldBy(t Token) bool {
	of := fingerprint(t)
	return len(id.text) > printLen && subtle.ConstantTimeCompare(of[:], []byte(id.text[id.pool+1:])) == 1
}

// lowerBase32 is the alphabet of RFC 4648, section 6, in lower case.
var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// fingerprint is the first 130 bits of SHA-256(token).
func fingerprint(t Token) [printLen]byte {
	sum := sha256.Sum256([]byte(t))
	var text [28]byte // of 17 bytes, the last of which is used in part
	lowerBase32.Encode(text[:], sum[:17])
	return [printLen]byte(text[:])
}
