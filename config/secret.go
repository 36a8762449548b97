package config

import "log/slog"

const redacted = "[redacted]"

// Secret is a text that must not be shown. It prints, logs and marshals as "[redacted]", or as "" when it is empty;
// convert it to string where it is really meant to leave the process.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret, also from loggers that marshal the struct around it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
