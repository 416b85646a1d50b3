//go:build linux

// Command lab proves how a pair of firewalls fails over. It builds a client, a LAN,
// two firewalls with NAT, a cable between them, a WAN and a server out of network
// namespaces, starts the pair, breaks it, and measures from outside: a UDP probe each
// millisecond, a TCP session, an SSH session. It removes all it has made.
//
//	go run ./examples/lab -scenario planned -n 20
//	go run ./examples/lab -scenario crash -pair all -svg crash.svg
//
// Where to read on:
//
//	topology.go homelab.go         the network           scenario*.go          what happens
//	pair*.go daemon.go dhcp.go     what runs on it       play.go               how it is done
//	probe.go session.go eye.go     what measures         bench.go              all of these together
//	record.go stats.go verdict.go  what comes out        report.go picture.go  how it looks
//	prove.go                       from end to end       sweep.go              what a killed run has left
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/gocarp/gocarp/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := lab(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// lab is main with its surroundings as arguments. It returns the exit code.
func lab(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return cli.OK
	}
	if err != nil {
		fmt.Fprintf(stderr, "lab: %v\nRun lab -h for usage.\n", err)
		return cli.Usage
	}
	ok, err := prove(ctx, o, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "lab: %v\n", err)
	}
	if err != nil || !ok {
		return cli.Failure
	}
	return cli.OK
}
