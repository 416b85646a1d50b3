package peer

import (
	"errors"
	"fmt"
)

var (
	// ErrUnreachable says that the peer did not answer, or that something did which
	// is no peer.
	ErrUnreachable = errors.New("it does not answer")

	// ErrAuth says that the peer has another secret.
	ErrAuth = errors.New("it has another secret")

	// ErrSelf says that the address of the peer leads to this very host.
	ErrSelf = errors.New("its address leads back to this host")

	// ErrSecret says that a secret has fewer than [MinSecret] octets.
	ErrSecret = fmt.Errorf("the secret is too short: want %d octets or more", MinSecret)
)

// An Error is the peer's answer if it is not what was asked for.
type Error struct {
	Status int    // of HTTP, 400 to 599; see [net/http.StatusConflict] and its like
	Msg    string // what the peer's handler said
}

func (e *Error) Error() string { return e.Msg }
