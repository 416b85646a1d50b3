// Command demo shows a failover: two firewalls with CARP and pfsync between a
// client and a server, of which one is taken down, crashes, loses a cable or is not
// heard. All of it happens in memory and on a virtual clock.
//
//	go run ./examples/demo
//	go run ./examples/demo -scenario crash -seed 7 -svg crash.svg
//
// Where to read on: scenario.go says what happens, world.go builds the network,
// group.go does what a virtual host decides, in the order that keeps clients
// connected, and sync.go what a pfsync session does. nat.go, table.go and track.go
// are what a firewall does with packets. firewall.go, host.go and stream.go are the
// nodes around that, on the switches and the clock of package simnet. record.go and
// lane.go draw the conclusions from a run; print.go and svg.go show them.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/gocarp/gocarp/internal/cli"
)

func main() {
	os.Exit(demo(os.Args[1:], os.Stdout, os.Stderr))
}

// demo is main with its surroundings as arguments. It returns the exit code.
func demo(args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return cli.OK
	}
	var log *slog.Logger
	if err == nil {
		log, err = o.log.Logger(stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "demo: %v\nRun demo -h for usage.\n", err)
		return cli.Usage
	}
	if err := show(o, stdout, log); err != nil {
		log.Error(err.Error())
		return cli.Failure
	}
	return cli.OK
}

// show runs the scenarios and shows what happened.
func show(o *options, stdout io.Writer, log *slog.Logger) error {
	print := printText
	if o.json {
		print = printJSON
	}
	out := bufio.NewWriter(stdout)
	var records []*record
	for i := range o.scenarios {
		r, err := run(&o.scenarios[i], o.seed, log)
		if err != nil {
			return err
		}
		records = append(records, r)
		if i > 0 && !o.json {
			fmt.Fprintln(out) // an error stays in out until Flush
		}
		if err := print(out, r); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if o.svg == "" {
		return nil
	}
	return cli.Save(o.svg, drawSVG(records))
}
