//go:build !linux

// Package sched gives a process real-time scheduling.
package sched

import (
	"errors"
	"fmt"
)

// FIFO is not to be had here: start the process under rtprio(1) or the like.
func FIFO(int, []string) error { return fmt.Errorf("sched: SCHED_FIFO: %w", errors.ErrUnsupported) }
