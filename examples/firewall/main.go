// Command firewall makes two Linux hosts a redundant firewall, with the files and
// the commands of OpenBSD: they share their LAN and WAN addresses (CARP) and keep
// their state tables the same (pfsync).
//
//	firewall run -C /etc/firewall            # hostname.carp1, hostname.pfsync0, sysctl.conf, carp.d
//	firewall ifconfig carp1                  # who is master?
//	firewall ifconfig -g internal carpdemote 50
//	firewall maintenance on                  # the other one takes over
//
// The first form is the daemon, the others talk to it over a Unix socket. What the
// daemon runs is a carp.Node for each real interface below carp interfaces, a
// vip.Applier for each carp interface, a pfsync.Node, and demote.Groups that tie
// them together; this program is the wiring.
//
//	setup.go     what the files ask for            host.go     what runs, start and end
//	check.go     whether this machine can do it    change.go   from one configuration to another
//	device.go vhost.go sync.go   the parts         command.go  what the socket answers to
//	peer.go      the channel to the other host     drain.go    hand over, if that one can
//	checks.go    what demotes when it is broken    settings*.go  firewall.toml, by its tables
//	cmd_sync.go  the files go to the other host    syncconf.go  and what that one does with them
//
// Beside the code: configurations to start from (conf), manual pages (man) and a unit
// for systemd (firewall.service).
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
	"github.com/gocarp/gocarp/internal/control"
)

func main() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a log that nobody reads any more must not kill us
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one ends the program at once
	code := run(ctx, takeArgs(os.Args[1:]), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with its surroundings as arguments. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == wanGuardName {
		return wanGuard(args[1:], os.Stdin, stdout, stderr)
	}
	o, err := parseOptions(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return cli.OK
	case err != nil:
		fmt.Fprintf(stderr, "firewall: %v\nRun firewall -h for usage.\n", err)
		return cli.Usage
	case o.daemon:
		return serve(ctx, o, stdout, stderr)
	}
	code, err := control.Do(ctx, o.socket, o.command, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "firewall: %v\n", err)
		return cli.Failure
	}
	return code
}
