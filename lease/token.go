package lease

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"log/slog"
	"regexp"
	"strings"
)

// Token is the holder's secret: who presents it may keep, read and release the lease. It prints as "[redacted]"; convert
// it to string where it is really meant to leave the process.
type Token string

// TokenPattern is what a token matches: the characters of a bearer token (RFC 6750, section 2.1), and enough of them that
// 128 random bits fit in base64.
const TokenPattern = `^[A-Za-z0-9._~+/-]{22,128}={0,2}$` //nolint:gosec // a pattern, no credential

var tokenRE = regexp.MustCompile(TokenPattern)

// NewToken returns a fresh random token of 130 bits.
func NewToken() Token { return Token(rand.Text()) }

// ParseToken checks a token that a client sent; the error is CodeInvalid and does not repeat it.
func ParseToken(s string) (Token, error) {
	if !tokenRE.MatchString(s) {
		return "", Invalid("Lease-Token", "a lease token is 22 to 128 random characters of A-Z, a-z, 0-9, '-', '.', '_', '~', '+' and '/', and may end in '='")
	}
	return Token(s), nil
}

// ID returns the id of the lease that this token holds in a pool.
func (t Token) ID(pool string) ID { return ID{pool: pool, print: fingerprint(t)} }

// String hides the token.
func (Token) String() string { return "[redacted]" }

// GoString hides the token.
func (t Token) GoString() string { return t.String() }

// LogValue hides the token.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// ID names a lease: the pool, and the fingerprint of the token that holds it. Because it is derived from the token, a
// wrong token is recognised without asking anyone, and a repeated allocation is the same lease. Ids are no secret.
type ID struct{ pool, print string }

var idRE = regexp.MustCompile(`^(.+)-([a-z2-7]{26})$`)

// ParseID reads an id of the form <pool>-<26 lower-case base32 characters>; the error is CodeInvalid.
func ParseID(s string) (ID, error) {
	m := idRE.FindStringSubmatch(s)
	if m == nil || ValidateName(m[1]) != nil {
		return ID{}, Invalid("id", "a lease id is <pool>-<26 characters of a-z and 2-7>")
	}
	return ID{pool: m[1], print: m[2]}, nil
}

// Pool returns the pool of the lease.
func (id ID) Pool() string { return id.pool }

// String returns the id as clients see it.
func (id ID) String() string { return id.pool + "-" + id.print }

// HeldBy reports whether the token is this lease's. It takes the same time for every wrong token.
func (id ID) HeldBy(t Token) bool {
	return subtle.ConstantTimeCompare([]byte(fingerprint(t)), []byte(id.print)) == 1
}

// fingerprint is the first 130 bits of SHA-256(token), as 26 lower-case base32 characters (RFC 4648, section 6).
func fingerprint(t Token) string {
	sum := sha256.Sum256([]byte(t))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:17])[:26])
}
