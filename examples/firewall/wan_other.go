//go:build !linux

package main

import (
	"io"
	"log/slog"

	"github.com/gocarp/gocarp/internal/cli"
)

func openWANPort(*wanSettings, *slog.Logger) (wanPort, error) { return nil, errSystem }

const wanGuardName = "wan-guard"

func wanGuard([]string, io.Reader, io.Writer, io.Writer) int { return cli.Failure }
