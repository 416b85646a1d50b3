//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

const usage = `usage: lab [-scenario NAME] [-n RUNS] [-pair NAME,...] [options]

Proves how a pair of firewalls fails over, on real Linux network namespaces: a
client on a LAN, two firewalls with NAT, a cable between them, a server on a WAN.
It breaks the pair and measures from outside, with a UDP probe each millisecond, a
TCP session and an SSH session. Needs root, ip and nft; removes all it has made.

  -scenario NAME   planned          the master is stopped (SIGTERM) and returns (default)
                   maintenance      it is told to let the other one do the work
                   crash            its programs are killed (SIGKILL)
                   power            all of its packets stop
                   cable-lan, cable-wan, cable-sync
                                    a cable is pulled, and plugged in again
                   one-way          what it sends on the LAN is lost for 5 s
                   freeze           its programs stand still for 5 s
                   split            the two do not hear each other for 5 s
                   backup-reboots, master-reboots
                   flapping         a loose contact
                   single-wan       one WAN address by DHCP for both: maintenance, power
                   homelab          the same with an ISP's box, and DHCP by the pair
                   all              one after the other
  -n RUNS          how often, 1 by default
  -pair NAME,...   ours (default), ucarp, keepalived, keepalived+conntrackd, all
  -advbase N       seconds between adverts, 1 by default. 0: advskew/256 seconds
  -advskew N       of the master, 0 by default; 5 if advbase is 0
  -firewall PATH   the program of ours; by default it is built from this module
  -json            one JSON object a run, then {"verdict":{...}} for each pair
  -svg FILE        draw the timeline of the worst run of each
  -keep            when all is measured, leave the last network up until SIGINT
  -v               say what happens

Exit code: 0, 1 after a failure or a verdict that is not as it must be, 2 for wrong
usage.
`

// options is the command line.
type options struct {
	scenarios []*scenario
	all       bool // -scenario all or -pair all: what cannot be done is left out
	runs      int
	pairs     []*pair
	timers    timers
	firewall  string
	json      bool
	svg       string
	keep      bool

	log logger
}

// A logger tells people how it goes.
type logger struct {
	to      io.Writer
	verbose bool
}

// warn says what they must know.
func (l logger) warn(format string, args ...any) { fmt.Fprintf(l.to, "lab: "+format+"\n", args...) }

// say says what they asked for with -v.
func (l logger) say(format string, args ...any) {
	if l.verbose {
		l.warn(format, args...)
	}
}

// parseOptions reads the command line. It fails with [flag.ErrHelp] for -h.
func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := &options{scenarios: []*scenario{planned}, runs: 1, pairs: []*pair{ours}}
	o.timers = timers{advBase: 1, advSkew: -1}
	fs := flag.NewFlagSet("lab", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Func("scenario", "", func(s string) (err error) {
		o.all = o.all || s == "all"
		o.scenarios, err = chooseScenarios(s)
		return err
	})
	fs.Func("pair", "", func(s string) (err error) {
		o.all = o.all || s == "all"
		o.pairs, err = choosePairs(s)
		return err
	})
	number := func(to *int, low, high int) func(string) error {
		return func(s string) error {
			var n int
			if k, err := fmt.Sscanf(s+"\n", "%d\n", &n); k != 1 || err != nil || n < low || n > high {
				return fmt.Errorf("want a number from %d to %d", low, high)
			}
			*to = n
			return nil
		}
	}
	fs.Func("n", "", number(&o.runs, 1, 100000))
	fs.Func("advbase", "", number(&o.timers.advBase, 0, 60))
	fs.Func("advskew", "", number(&o.timers.advSkew, 0, 150))
	fs.StringVar(&o.firewall, "firewall", "", "")
	fs.BoolVar(&o.json, "json", false, "")
	fs.StringVar(&o.svg, "svg", "", "")
	fs.BoolVar(&o.keep, "keep", false, "")
	o.log.to = stderr
	fs.BoolVar(&o.log.verbose, "v", false, "")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: want flags only", fs.Arg(0))
	}
	if err := o.timers.complete(); err != nil {
		return nil, err
	}
	return o, nil
}

// complete fills in what was not said.
func (t *timers) complete() error {
	switch {
	case t.advSkew < 0 && t.advBase == 0:
		t.advSkew = 5
	case t.advSkew < 0:
		t.advSkew = 0
	case t.advSkew == 0 && t.advBase == 0:
		return errors.New("-advbase 0 -advskew 0: there would be no time between adverts")
	}
	return nil
}
