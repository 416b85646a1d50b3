package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"unsafe"

	"github.com/gocarp/gocarp/internal/cli"
)

const usage = `firewall makes two hosts a redundant firewall: CARP, pfsync and hooks.

usage: firewall run -C DIR [options]     the daemon
       firewall [-s SOCKET] COMMAND      speak to it

Options of run:
  -C DIR           the configuration, see below
  -s SOCKET        the socket to listen on, ` + defaultSocket + ` by default
  -metrics ADDR    serve counters to Prometheus at http://ADDR/metrics
  -n               check the configuration, print the plan, change nothing
  -log F           log as text (default) or json, to standard error
  -v               log more

DIR has
  hostname.carpN   carp interfaces, as in hostname.if(5) of OpenBSD; "passfile FILE"
                   takes the passphrase out of a file
  hostname.pfsync0 the sync interface
  sysctl.conf      net.inet.carp.preempt=1 and its like
  carp.d/NN-name   scripts that are called as "NN-name vhid@interface STATE"
  firewall.toml    what these have no words for:
                   mac = "real" (default), "virtual" or "rewritten"
                   dialect = "openbsd" (default) or "freebsd"
                   [carp]   allow = ["192.0.2.0/24"]  whose adverts count
                   [pfsync] peers = ["192.0.2.2"]     whose packets count
                            states = 100000           the most in the table
                            converge = false          compare it with the peers' and repair it
                   [states] policy = "inject"         into the kernel at once; or "hold":
                                                      as master only; "memory": never
                            refresh = 15              seconds between two looks at it
                            short = true              tell of short UDP, too
                            local = false             and of what is the host's own
                   [peer]   secret-file = "peer.key"  of both hosts, 16 octets or more:
                                              they tell each other how they are
                            address = "10.0.0.2"      syncpeer of pfsync0 by default
                            port = 7241
                   [wan]    interface = "wan0"        up on the master only, and
                            lladdr = "02:00:5e:00:53:01"  the same on both hosts
                            follow = "carp1"          the first by default
                            client = "dhclient"       udhcpc, dhcpcd, or a command
                                                      as ["udhcpc", "-f", "-i", "%i"]
                            address = "203.0.113.2/24"  instead of a client,
                            gateway = "203.0.113.1"   and the way out
                            accept-ra = true          IPv6 from routers there
                            wait = 5                  seconds for the word of the
                                                      other host that its is down
                            confirm = 1               the same if it fell silent
                            without-peer = "up"       then, or "stay-down"
                            demote = 0                without carrier or address
                   [sync]   exclude = ["carp:lladdr", "hooks:90-local", "settings:wan"]
                                                      what this host keeps for itself
                            skew-add = 100            the other's advskew follows this one's
                            extra.dns = ["/etc/dnsmasq.conf", "systemctl", "reload", "dnsmasq"]
                                                      a file elsewhere, and what to run
                   [check.gateway]                    demotes while it fails; any name
                            ping = "192.0.2.1"        or tcp = "192.0.2.1:53", command =
                                                      ["/path", "word"], file or link
                            interval = 1              seconds; also timeout
                            rise = 3                  good results that end it
                            fall = 3                  bad results that demote
                            demote = 240
                            group = "carp"            or interface = "carp1"
                   [hooks]  timeout = 30              seconds for one script
                            demote = 0                by a script that fails

Commands:
  ifconfig [-a | IF | GROUP]               show interfaces
  ifconfig IF WORD...                      create, change or destroy one
  ifconfig -g GROUP [[-]carpdemote [N]]    show or change a group's demotion
  sysctl [-w] NAME[=VALUE]...              net.inet.carp.allow, preempt, log
  netstat -s [-p carp|pfsync]              counters
  pfctl -ss [-v]                           states
  status [-json] [-watch]                  both hosts: role, since when, why, demotions
  why [N]                                  the last N things that happened, 20 by default
  maintenance on|off [-persistent]         let the other one do the work
  drain [-force]                           the same, if the other one confirms that
                                           it can, and wait until it does
  resync                                   ask the peers for all their states
  reload                                   read DIR again, change what differs
  sync [-n] [-reconfigure] [SECTION...]    as master: the files of the other host become
                                           those of this one; -n shows what would change,
                                           -reconfigure loads them; sections are
                                           carp pfsync sysctl settings hooks extra
  sync -undo [-reconfigure]                the files here as before the last of these
  sync status [-json]                      the last one, and what differs now
  doctor                                   check this machine

Exit code: 0 ok, 1 failure, 2 wrong usage or configuration, nothing was changed.
SIGTERM and SIGINT hand over to the other host and take everything down; a second
one ends the program at once.
`

// defaultSocket is in a directory of its own, which a service manager can make for a
// program that may write nowhere else in /run; see firewall.service.
const defaultSocket = "/run/firewall/socket"

// options are the command line, checked.
type options struct {
	socket  string
	command []string // to the daemon

	daemon  bool
	dir     string
	metrics string
	dryRun  bool
	log     cli.Logging
}

func parseOptions(args []string) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("firewall", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.socket, "s", defaultSocket, "")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	rest := fs.Args()
	if len(rest) == 0 {
		return nil, errors.New("want a command, or run")
	}
	if o.command = rest; rest[0] != "run" {
		return o, nil
	}
	o.daemon = true
	fs.StringVar(&o.dir, "C", "", "")
	fs.StringVar(&o.metrics, "metrics", "", "")
	fs.BoolVar(&o.dryRun, "n", false, "")
	o.log.Flags(fs)
	if err := fs.Parse(rest[1:]); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("run: %q: want no words without a flag", fs.Arg(0))
	}
	if o.dir == "" {
		return nil, errors.New("run: want -C DIR")
	}
	return o, nil
}

// takeArgs returns the command line, and takes what follows "pass" out of the list
// of processes: the kernel shows the memory that args still point to.
func takeArgs(args []string) []string {
	own := make([]string, len(args))
	for i, a := range args {
		own[i] = strings.Clone(a)
	}
	for i := range args[:max(len(args)-1, 0)] {
		if next := args[i+1]; own[i] == "pass" && next != "" {
			clear(unsafe.Slice(unsafe.StringData(next), len(next)))
		}
	}
	return own
}
