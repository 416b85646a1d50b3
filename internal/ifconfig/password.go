package ifconfig

import (
	"fmt"
	"io"
	"log/slog"
)

// A Password is the word after "pass"; the empty one is none. It may be longer
// than what CARP uses of it: [carp.Passphrase] tells. Formatting, logging or
// encoding a Password, or what holds one, shows a placeholder; string(p) has it.
type Password string

const redacted = "[secret]"

// Format hides the password, whatever the verb.
func (Password) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// String hides the password.
func (Password) String() string { return redacted }

// LogValue hides the password.
func (Password) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the password, from encoding/json too.
func (Password) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalBinary hides the password, from encoding/gob.
func (Password) MarshalBinary() ([]byte, error) { return []byte(redacted), nil }
