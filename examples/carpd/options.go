package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/cli"
	"github.com/gocarp/gocarp/vip"
)

const usage = `carpd shares addresses between hosts: the best one that is alive has them.

usage: carpd -i IFACE -vhid N (-pass P | -passfile F) -addr CIDR... [options]

  -i IFACE         the network interface
  -vhid N          virtual host ID, 1 to 255: one for each group on the segment
  -pass P          the passphrase; taken out of the process list at once
  -passfile F      the passphrase is the first line of F
  -addr CIDR...    the shared addresses, the same on all hosts

  -advbase N       advert every N seconds, 1 by default; openbsd also takes 0,
                   which leaves advskew/256 s
  -advskew N       plus N/256 s, 0 by default, up to 254: the lowest is preferred
  -deadratio N     a master is dead after N x advbase, 3 by default; ucarp only
  -preempt         take over from a host that advertises more slowly
  -peer IP...      send to these hosts instead of the multicast group; freebsd
                   also takes them to be behind a router
  -dialect D       whose rules to follow: openbsd (default), freebsd or ucarp;
                   also netbsd and freebsd12
  -mac M           real (default): the addresses have the interface's own MAC;
                   virtual: they have 00:00:5e:00:01:VHID, on a macvlan;
                   rewritten: the same without a macvlan, so that firewall rules
                   go on seeing IFACE (Linux 6.6)
  -replay P        loop (default), off, or strict: refuse adverts that were
                   recorded; all hosts must run carpd then, with equal clocks
  -up CMD          run at each change to MASTER, as CMD vhid@IFACE MASTER
  -down CMD        run at each other change, as CMD vhid@IFACE BACKUP (or INIT)
  -rt PRIO         run under SCHED_FIFO with priority PRIO, 1 to 99, which
                   intervals below 50 ms need
  -n               print what would be done, change nothing
  -log F           log as text (default) or json, to standard error
  -v               log dropped packets too
  -h               this text

Commands find CARP_VHID, CARP_IF, CARP_STATE, CARP_PREV, CARP_REASON and CARP_SEQ
in their environment. They run one after the other; what is left after the end has 10 seconds.

SIGTERM and SIGINT bow out: the addresses stay until another host has them, at
most a second, or a few with -advbase 0; a second signal ends carpd at once. SIGUSR1 logs the state and the counters. SIGUSR2 bows out, and
takes part again a few seconds later.

Exit code: 0 ok, 1 failure at run time, 2 wrong usage.
`

// options are the command line, checked.
type options struct {
	group    carp.GroupConfig
	iface    string
	mac      vip.Mode
	up, down string
	rt       int
	dryRun   bool
	log      cli.Logging
	warnings []string
}

// parseOptions reads the command line. Flags may repeat, and -addr and -peer take
// several values: what follows them and is no flag belongs to them.
func parseOptions(args []string) (*options, error) {
	var (
		o                                 = &options{}
		addrs, peers                      []string
		vhid, advbase, advskew, ratio, rt uint
		pass, passfile                    string
		dialect, mac, replay              string
		fs                                = flag.NewFlagSet("carpd", flag.ContinueOnError)
		last                              *[]string // of -addr and -peer, the one given last
		list                              = func(to *[]string) func(string) error {
			return func(s string) error {
				*to, last = append(*to, strings.Split(s, ",")...), to
				return nil
			}
		}
	)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.iface, "i", "", "")
	number(fs, &vhid, "vhid")
	fs.StringVar(&pass, "pass", "", "")
	fs.StringVar(&passfile, "passfile", "", "")
	fs.Func("addr", "", list(&addrs))
	fs.Func("peer", "", list(&peers))
	advbase = 1
	number(fs, &advbase, "advbase")
	number(fs, &advskew, "advskew")
	ratio = 3
	number(fs, &ratio, "deadratio")
	fs.BoolVar(&o.group.Preempt, "preempt", false, "")
	fs.StringVar(&dialect, "dialect", "openbsd", "")
	fs.StringVar(&mac, "mac", "real", "")
	fs.StringVar(&replay, "replay", "loop", "")
	fs.StringVar(&o.up, "up", "", "")
	fs.StringVar(&o.down, "down", "", "")
	number(fs, &rt, "rt")
	fs.BoolVar(&o.dryRun, "n", false, "")
	o.log.Flags(fs)

	for rest, before := args, ""; ; {
		if err := fs.Parse(rest); err != nil {
			return nil, err
		}
		if len(fs.Args()) == 0 {
			break
		}
		if read := rest[:len(rest)-len(fs.Args())]; len(read) > 0 {
			before = listFlag(read)
		}
		if before == "" { // it may be a word of the passphrase: not quoted
			return nil, errors.New("a word is neither a flag nor the value of one: want a flag")
		}
		rest = fs.Args()
		*last, rest = append(*last, rest[0]), rest[1:]
	}

	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if o.iface == "" {
		bad("-i: want a network interface")
	}
	o.group.VHID = octet("-vhid", vhid, 1, 255, bad)
	o.group.AdvSkew = octet("-advskew", advskew, 0, 254, bad)
	o.group.AdvBase = int(octet("-advbase", advbase, 0, 255, bad))
	o.group.DeadRatio = int(octet("-deadratio", ratio, 1, 255, bad))
	if o.group.AdvBase == 0 {
		o.group.AdvBase = carp.SubSecond
	}
	if rt > 99 || rt == 0 && given["rt"] {
		bad("-rt %d: want a priority from 1 to 99", rt)
	}
	o.rt = int(rt)
	var err error
	if o.group.Dialect, err = carp.ParseDialect(dialect); err != nil {
		bad("-dialect %q: want openbsd, freebsd or ucarp", dialect)
	}
	o.group.Addresses = parseAddrs(addrs, bad)
	o.group.Peers = parsePeers(peers, bad)
	o.secret(pass, passfile, given, bad)
	o.link(mac, bad)
	if o.group.Replay, err = carp.ParseReplayPolicy(replay); err != nil {
		bad("-replay %q: want loop, off or strict", replay)
	}
	if len(errs) == 0 {
		errs = append(errs, o.group.Validate())
	}
	return o, errors.Join(errs...)
}

// number adds a flag that is a number.
func number(fs *flag.FlagSet, p *uint, name string) {
	fs.Func(name, "", func(s string) error {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return errors.New("want a number")
		}
		*p = uint(n)
		return nil
	})
}

// listFlag is the flag that more values may follow, if args end in one.
func listFlag(args []string) string {
	name := args[len(args)-1]
	if !strings.Contains(name, "=") && len(args) > 1 {
		name = args[len(args)-2]
	}
	name, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimPrefix(name, "-"), "-"), "=")
	if name == "addr" || name == "peer" {
		return name
	}
	return ""
}

// octet checks a number's range.
func octet(name string, v, low, high uint, bad func(string, ...any)) uint8 {
	if v < low || v > high {
		bad("%s %d: want %d to %d", name, v, low, high)
		return 0
	}
	return uint8(v)
}

func parseAddrs(words []string, bad func(string, ...any)) []netip.Prefix {
	if len(words) == 0 {
		bad("-addr: want at least one address")
	}
	var out []netip.Prefix
	for _, w := range words {
		p, err := netip.ParsePrefix(w)
		if a, aerr := netip.ParseAddr(w); aerr == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			bad("-addr %q: want an address like 192.0.2.1/24 or 2001:db8::1/64", w)
			continue
		}
		out = append(out, p)
	}
	return out
}

func parsePeers(words []string, bad func(string, ...any)) []netip.Addr {
	var out []netip.Addr
	for _, w := range words {
		a, err := netip.ParseAddr(w)
		if err != nil {
			bad("-peer %q: want an IP address", w)
			continue
		}
		out = append(out, a)
	}
	return out
}

// secret takes the passphrase from where it was given.
func (o *options) secret(pass, file string, given map[string]bool, bad func(string, ...any)) {
	switch {
	case given["pass"] == given["passfile"]:
		bad("want either -pass or -passfile")
		return
	case given["pass"] && pass == "":
		bad("-pass: want a passphrase, it is empty")
		return
	case given["passfile"]:
		var err error
		if pass, err = cli.ReadSecret(file); err != nil {
			bad("-passfile: %v", err)
			return
		}
	}
	var cut bool
	if o.group.Secret, cut = carp.Passphrase(pass); !cut {
		return
	}
	if o.group.Dialect == carp.UCarp {
		bad("the passphrase of -pass or -passfile is longer than %d octets: ucarp refuses it", carp.MaxPassphrase)
		return
	}
	o.warnings = append(o.warnings, fmt.Sprintf(
		"the passphrase is longer than %d octets: the rest is not used, as in the BSDs", carp.MaxPassphrase))
}

// link decides the Ethernet addresses: that of the adverts and of the virtual
// addresses.
func (o *options) link(mac string, bad func(string, ...any)) {
	switch mac {
	case "real":
		o.mac = vip.RealMAC
		return
	case "virtual":
		o.mac = vip.VirtualMAC
	case "rewritten":
		o.mac = vip.RewrittenMAC
	default:
		bad("-mac %q: want real, virtual or rewritten", mac)
	}
	o.group.LinkSrc = o.group.Dialect.VirtualMAC(o.group.VHID)
}

// plan prints what carpd would do.
func (o *options) plan(w io.Writer) {
	g := &o.group
	base := g.AdvBase
	if base == carp.SubSecond {
		base = 0
	}
	h := carp.Header{AdvBase: uint8(base), AdvSkew: g.AdvSkew}
	fmt.Fprintf(w, "interface %s: vhid %d, dialect %v, replay %v\n", o.iface, g.VHID, g.Dialect, g.Replay)
	fmt.Fprintf(w, "adverts: every %v (advbase %d advskew %d)", max(h.Interval(), time.Second/256), base, g.AdvSkew)
	if len(g.Peers) > 0 {
		fmt.Fprintf(w, " to %v", g.Peers)
	}
	fmt.Fprintf(w, "\ntake over: %v after the last advert of a master", g.MasterDown())
	if g.Preempt {
		fmt.Fprint(w, ", at once from a slower one")
	}
	fmt.Fprintf(w, "\nas master: %v with the %v", g.Addresses, o.mac)
	if o.mac != vip.RealMAC {
		fmt.Fprintf(w, " %v", carp.OpenBSD.VirtualMAC(g.VHID))
	}
	fmt.Fprintln(w)
	for _, c := range [...]struct{ state, cmd string }{{"MASTER", o.up}, {"BACKUP", o.down}} {
		if c.cmd != "" {
			fmt.Fprintf(w, "on %s: %s %d@%s %s\n", c.state, c.cmd, g.VHID, o.iface, c.state)
		}
	}
	if o.rt > 0 {
		fmt.Fprintf(w, "scheduling: SCHED_FIFO %d\n", o.rt)
	}
	fmt.Fprintln(w, "nothing was changed")
}

// checkCommands says early which command could not be run later.
func (o *options) checkCommands() error {
	for _, c := range [...]struct{ flag, cmd string }{{"-up", o.up}, {"-down", o.down}} {
		if c.cmd == "" {
			continue
		}
		if _, err := exec.LookPath(c.cmd); err != nil {
			return fmt.Errorf("%s: want a command that can be run: %w", c.flag, err)
		}
	}
	return nil
}
