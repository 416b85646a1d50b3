package carp

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// MaxPassphrase is the number of octets of a passphrase that every BSD uses.
// Their key holds 20, of which ifconfig(8) keeps the last for a NUL.
const MaxPassphrase = 19

// A Secret is the key that the nodes of a virtual host share: up to 20 octets,
// padded with zeros. The zero Secret is what the BSDs use without a passphrase;
// adverts are hashed all the same. Formatting, logging or encoding a Secret, or a
// configuration that holds one, shows a placeholder.
type Secret [20]byte

// Passphrase makes a Secret the way ifconfig(8) does: the octets of s up to the
// first NUL, and no more than [MaxPassphrase] of them. It reports whether s was
// cut; the BSDs do so silently, ucarp refuses such a passphrase.
func Passphrase(s string) (key Secret, truncated bool) {
	s, _, _ = strings.Cut(s, "\x00")
	if len(s) > MaxPassphrase {
		s, truncated = s[:MaxPassphrase], true
	}
	copy(key[:], s)
	return key, truncated
}

const redacted = "[secret]"

// Format hides the secret, whatever the verb.
func (Secret) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalBinary hides the secret, from encoding/gob too.
func (Secret) MarshalBinary() ([]byte, error) { return []byte(redacted), nil }
