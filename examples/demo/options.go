package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"

	"github.com/gocarp/gocarp/internal/cli"
)

const usage = `usage: demo [-scenario NAME] [-seed N] [-json] [-svg FILE] [-log text|json] [-v]

Shows how a pair of firewalls fails over: two of them between a client on a LAN
and a server on a WAN, in memory and on a virtual clock. It needs no network and
no privileges, and takes seconds. CARP decides which of them forwards, with NAT;
pfsync keeps their states the same. The client sends a probe every 10 ms, over
UDP; one that is not answered within a second is lost. It also has a TCP session
that sends both ways all the time. A firewall that does not know its state would
reset it.

  -scenario NAME  planned     the master is taken down (ifconfig down), and comes back
                  crash       the master loses power, and comes back
                  cable       the LAN cable of the master is pulled, and plugged in
                  partition   the switch keeps the adverts of one from the other
                  single-wan  one WAN address and MAC for both; a hook enables the
                              WAN on the master only
                  all         one after the other (the default)
  -seed N         what chance decides: when things happen, and how long frames take.
                  The same number gives the same output; the default is 1
  -json           one JSON object a line: the events, then {"verdict":{...}}
  -svg FILE       draw the timeline as well
  -log FORM       form of messages on standard error
  -v              log every advert

Exit code: 0, 1 after a failure, 2 for wrong usage.
`

// options is the command line.
type options struct {
	scenarios []scenario
	seed      uint64
	json      bool
	svg       string
	log       cli.Logging
}

// parseOptions reads the command line. It fails with [flag.ErrHelp] for -h.
func parseOptions(args []string) (*options, error) {
	o := &options{scenarios: scenarios, seed: 1}
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Func("scenario", "", func(s string) error {
		if o.scenarios = chosen(s); o.scenarios == nil {
			return errors.New("want one of " + scenarioNames())
		}
		return nil
	})
	fs.Func("seed", "", func(s string) (err error) {
		if o.seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			return errors.New("want a number from 0 to 18446744073709551615")
		}
		return nil
	})
	fs.BoolFunc("json", "", func(s string) (err error) {
		if o.json, err = strconv.ParseBool(s); err != nil {
			return errors.New("want true, false or nothing")
		}
		return nil
	})
	fs.Func("svg", "", func(s string) error {
		if o.svg = s; s == "" {
			return errors.New("want the name of a file")
		}
		return nil
	})
	o.log.Flags(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: want flags only", fs.Arg(0))
	}
	return o, nil
}
