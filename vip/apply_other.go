//go:build !linux

package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
)

// An Applier puts addresses on and off an interface. It exists on Linux only;
// elsewhere the kernel's own CARP, or an embedder's code, has to do it.
type Applier struct{}

// Open fails: the error matches [errors.ErrUnsupported].
func Open(Config) (*Applier, error) { return nil, unsupported() }

// Acquire fails.
func (*Applier) Acquire(context.Context) error { return unsupported() }

// Announce fails.
func (*Applier) Announce(context.Context) error { return unsupported() }

// Release fails.
func (*Applier) Release(context.Context) error { return unsupported() }

// Yield does nothing.
func (*Applier) Yield() {}

// Silence fails.
func (*Applier) Silence() error { return unsupported() }

// SetAddresses fails.
func (*Applier) SetAddresses(context.Context, []netip.Prefix) error { return unsupported() }

// Run fails.
func (*Applier) Run(context.Context) error { return unsupported() }

// Close fails.
func (*Applier) Close() error { return unsupported() }

func unsupported() error {
	return fmt.Errorf("vip: putting addresses on an interface on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
