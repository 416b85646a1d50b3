// Command carpd shares an address between hosts, as ucarp does: run it with the
// same -vhid, -pass and -addr on two machines, and one of them has the address.
//
//	carpd -i em0 -vhid 1 -passfile /etc/carp.pass -addr 10.0.0.1/24
//
// What it takes is one of each, wired here: a transport for the interface
// (carpnet), something that puts addresses on it (vip), and a node (carp) with a
// demotion counter (demote).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carpnet"
	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/internal/cli"
	"github.com/gocarp/gocarp/internal/sched"
	"github.com/gocarp/gocarp/vip"
)

func main() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a log that nobody reads any more must not kill us
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one ends the program at once
	code := run(ctx, cli.TakeArgs("pass"), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with its surroundings as arguments. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return cli.OK
	case err == nil:
		err = o.checkCommands()
	}
	if err != nil {
		fmt.Fprintf(stderr, "carpd: %v\nRun carpd -h for usage.\n", err)
		return cli.Usage
	}
	log, flush, err := o.log.Daemon(stderr)
	if err != nil {
		fmt.Fprintf(stderr, "carpd: %v\n", err)
		return cli.Usage
	}
	defer flush()
	for _, w := range o.warnings {
		log.Warn(w)
	}
	if _, err := net.InterfaceByName(o.iface); err != nil {
		log.Error("no such interface", "interface", o.iface)
		return cli.Failure
	}
	if o.dryRun {
		o.plan(stdout)
		return cli.OK
	}
	if o.rt > 0 {
		if err := sched.FIFO(o.rt, args); err != nil { // starts the program again
			log.Error(err.Error())
			return cli.Failure
		}
	}
	if err := share(ctx, o, log); err != nil {
		if errors.Is(err, os.ErrPermission) {
			err = fmt.Errorf("%w: carpd needs CAP_NET_RAW and CAP_NET_ADMIN", err)
		}
		log.Error(err.Error())
		return cli.Failure
	}
	return cli.OK
}

// refresh is how often a master announces its addresses again, for neighbours that
// heard another one last: after a split brain, for example.
const refresh = 5 * time.Second

// lostAddresses is the demotion while the addresses cannot be kept on.
const lostAddresses = 240

// share takes part until ctx is done.
func share(ctx context.Context, o *options, log *slog.Logger) (err error) {
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 2)) // one busy goroutine must not hold up the timers

	demotion := new(demote.Counter)
	addrs, err := vip.Open(vip.Config{
		Interface: o.iface, Addresses: o.group.Addresses, Mode: o.mac,
		MAC:                 vip.HardwareAddr(carp.OpenBSD.VirtualMAC(o.group.VHID)),
		RepeatAnnouncements: refresh, Logger: log,
		Fault: func(err error) {
			if err == nil {
				demotion.Set("lost addresses", 0)
				return
			}
			log.Error("carpd: cannot keep the addresses", "err", err)
			demotion.Set("lost addresses", lostAddresses)
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, addrs.Close()) }()

	conn, err := carpnet.Listen(carpnet.Config{
		Interface: o.iface, Groups: groups(o.group.Peers), Logger: log,
		Virtual: func(a netip.Addr) bool { return holds(o.group.Addresses, a) },
	})
	if err != nil {
		return err
	}
	o.group.Addrs, o.group.Demote = addrs, demotion
	o.group.Source = own(o.iface, o.group.Addresses)

	// Scripts run beside the node, in order; the queue never holds it up.
	changes := make(chan carp.Change, 1024)
	scripts := startScripts(changes, o.up, o.down, log)
	defer scripts.finish()

	node, err := carp.NewNode(carp.NodeConfig{
		Interface: o.iface,
		Transport: conn,
		Groups:    []carp.GroupConfig{o.group},
		Links:     conn.Links(),
		Suspended: carpnet.Suspended,
		Logger:    log,
		Hooks:     carp.Hooks{StateChanged: func(c carp.Change) { changes <- c }},
	})
	if err != nil {
		return errors.Join(err, conn.Close())
	}

	// The addresses are kept in place for as long as the node runs, also while it
	// bows out; and without somebody to keep them, it must not run.
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	keep, done := context.WithCancel(context.WithoutCancel(ctx))
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		if err := addrs.Run(keep); keep.Err() == nil {
			fail(err)
		}
	}()
	defer func() { done(); <-kept }()

	serveSignals(keep, node, o.group.VHID, log)
	log.Info("carpd: taking part", "interface", o.iface, "vhid", o.group.VHID, "addresses", o.group.Addresses)
	err = node.Run(running)
	logStatus(node, log)
	if cause := context.Cause(running); ctx.Err() == nil && cause != nil {
		err = errors.Join(err, cause)
	}
	return err
}

// groups are the multicast groups to listen to.
func groups(peers []netip.Addr) []netip.Addr {
	return append([]netip.Addr{carp.Group4, carp.Group6},
		slices.DeleteFunc(slices.Clone(peers), func(p netip.Addr) bool { return !p.IsMulticast() })...)
}

func holds(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Addr() == a })
}

// own are the interface's own addresses, which break ties between ucarps.
func own(name string, virtual []netip.Prefix) []netip.Addr {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil
	}
	nets, err := ifi.Addrs()
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for _, n := range nets {
		if p, err := netip.ParsePrefix(n.String()); err == nil && !holds(virtual, p.Addr()) {
			out = append(out, p.Addr())
		}
	}
	return out
}
