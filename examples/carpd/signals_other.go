//go:build !unix

package main

import (
	"context"
	"log/slog"

	"github.com/gocarp/gocarp/carp"
)

// serveSignals has no signals to serve here.
func serveSignals(context.Context, *carp.Node, uint8, *slog.Logger) {}
