package config

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Reveal returns the password itself. Hand it to the server that asks for it
// and to nobody else.
func (s Secret) Reveal() string { return string(s) }

// String returns "[secret]", or "" if there is none.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[secret]"
}

// GoString is String; it is for %#v.
func (s Secret) GoString() string { return s.String() }

// Format prints String whatever the verb is; %x would reveal the bytes.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.String()) // a fmt.State reports its errors itself
}

// MarshalText is String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON is String as JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// LogValue is String for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
