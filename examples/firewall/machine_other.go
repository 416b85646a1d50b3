//go:build !linux

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/gocarp/gocarp/internal/ifconfig"
)

// errSystem is what everything ends with that needs Linux.
var errSystem = fmt.Errorf("firewall on %s, which has a CARP of its own or none: %w", runtime.GOOS, errors.ErrUnsupported)

func readMachine() (machine, error) { return nil, errSystem }

func (l *link) apply(ifconfig.Change) error { return errSystem }

func lockDir(string) (*os.File, error) { return nil, errSystem }

func privileges() error { return errSystem }
