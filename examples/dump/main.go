// Command dump is a tcpdump for CARP and pfsync: it shows who claims which
// virtual host, and says whether an advert is signed with the key you think it
// is; and it shows which states firewalls tell each other about, as pfctl does.
//
//	dump -i em0
//	dump -r failover.pcap -v -carp "vhid 1 passfile /etc/carp.pass 10.0.0.1/24"
//	dump -r sync.pcap -v
//	dump -r sync.pcap -json | jq 'select(.error)'
//
// For a look at pfsync with Wireshark there is pfsync.lua beside this file:
//
//	tshark -X lua_script:pfsync.lua -r sync.pcap
//
// A packet takes one way: a source (capture file or interface) yields frames,
// find looks for CARP or pfsync in them, decode reads that, and a printer writes
// a line of text or JSON. The files of this directory are named by these steps.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/gocarp/gocarp/internal/pcap"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments. It returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opt, err := parseOptions(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "dump: %v\nRun dump -h for usage.\n", err)
		return 2
	}
	log := opt.logger(stderr)
	keys, err := newKeyring(opt.carp, opt.dialect, log)
	if err != nil {
		fmt.Fprintf(stderr, "dump: %v\n", err)
		return 2
	}
	malformed, err := dump(opt, keys, stdin, stdout, log)
	if err != nil {
		log.Error(err.Error())
		return 1
	}
	if malformed > 0 {
		log.Warn("some packets are malformed", "packets", malformed)
		return 1
	}
	return 0
}

// dump prints, and with -w saves, the packets of the source that opt names. It
// returns how many were malformed.
func dump(opt options, keys keyring, stdin io.Reader, stdout io.Writer, log *slog.Logger) (malformed int, err error) {
	src, err := open(opt, stdin, log)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	out, err := newSaver(opt.save)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()

	d, print := newDecoder(keys, opt.dialect, log), newPrinter(opt, stdout)
	defer d.summarize()
	for {
		p, err := src.Next()
		if err == io.EOF {
			return malformed, nil
		}
		if err != nil {
			return malformed, err
		}
		rec := d.decode(p)
		if rec == nil {
			continue
		}
		if rec.reason() != "" {
			malformed++
		}
		if err := errors.Join(print(rec), out.Save(p)); err != nil {
			return malformed, err
		}
	}
}

// A source yields frames until io.EOF.
type source interface {
	Next() (pcap.Packet, error)
	Close() error
}
