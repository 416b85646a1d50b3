//go:build !linux

package main

import (
	"errors"
	"log/slog"
)

// capture needs a packet socket.
func capture(string, *slog.Logger) (source, error) {
	return nil, errors.New("-i needs Linux; elsewhere: tcpdump -i IFACE -w - proto carp or proto pfsync | dump -r -")
}
