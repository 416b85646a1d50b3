package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
)

const usage = `usage: dump -r FILE | -i IFACE [-json] [-v] [-carp WORDS]...
            [-dialect auto|openbsd|freebsd] [-w OUT.pcap] [-log text|json]

Prints the CARP and pfsync packets of a capture or of an interface, pfsync down to each
state, of OpenBSD 7.4 and newer and of FreeBSD 12 to 15.

  -r FILE     read a pcap or pcapng file; "-" is standard input
  -i IFACE    capture on an interface until SIGINT or SIGTERM (Linux, root)
  -json       one JSON object a packet instead of a line of text
  -v          show the counter, checksum, HMAC and MAC of adverts, and pfsync states as
              pfctl -ss -vv does instead of pfctl -ss; log debug messages
  -carp WORDS check the HMAC of a virtual host. WORDS is one argument, in ifconfig's words:
                  "vhid N [pass P | passfile F] [lladdr MAC] ADDR..."
              with every virtual address of it. Repeat the flag for more virtual hosts, and
              for one host if password or addresses change within the capture: one match is
              enough. A command line shows in the process list: prefer passfile, whose file
              holds the passphrase, without the end of line. lladdr is a MAC set by hand on
              an OpenBSD carp interface; adverts that hash it and that do not both match.
  -dialect D  pfsync: "openbsd" wants version 6 of the header, "freebsd" wants 5, and others
              are malformed; "auto" reads both. CARP: which IPv6 link-local addresses the
              HMAC covers: "freebsd" the given ones, "openbsd" none, or the given ones and
              the one made from the virtual MAC, "auto" any of these
  -w OUT.pcap save the printed packets
  -log FORM   form of messages on standard error

Exit code: 0, 1 after malformed packets or a failure, 2 for wrong usage.
`

// options is the command line.
type options struct {
	file, iface, save string
	json, verbose     bool
	carp              []string // the words of each -carp
	dialect           string   // auto, openbsd or freebsd
	logJSON           bool
}

// parseOptions reads the command line. It fails with [flag.ErrHelp] for -h.
func parseOptions(args []string) (options, error) {
	var opt options
	fs := flag.NewFlagSet("dump", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&opt.file, "r", "", "")
	fs.StringVar(&opt.iface, "i", "", "")
	fs.StringVar(&opt.save, "w", "", "")
	fs.BoolVar(&opt.json, "json", false, "")
	fs.BoolVar(&opt.verbose, "v", false, "")
	fs.StringVar(&opt.dialect, "dialect", "auto", "")
	form := fs.String("log", "text", "")
	// The words are parsed later: package flag repeats a whole value, with the
	// passphrase in it, when it is refused here.
	fs.Func("carp", "", func(words string) error {
		opt.carp = append(opt.carp, words)
		return nil
	})
	if err := fs.Parse(args); err != nil {
		return opt, err
	}
	switch {
	case fs.NArg() > 0 && len(opt.carp) > 0: // may be a passphrase that should have been quoted
		return opt, errors.New("arguments after the flags: the words of -carp must be one argument, in quotes")
	case fs.NArg() > 0:
		return opt, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case (opt.file == "") == (opt.iface == ""):
		return opt, errors.New("one of -r FILE and -i IFACE was expected")
	case sameFile(opt.file, opt.save):
		return opt, fmt.Errorf("-w %s: another file than that of -r was expected", opt.save)
	}
	switch opt.dialect {
	case "auto", "openbsd", "freebsd":
	default:
		return opt, fmt.Errorf("-dialect %q: auto, openbsd or freebsd was expected", opt.dialect)
	}
	switch *form {
	case "text":
	case "json":
		opt.logJSON = true
	default:
		return opt, fmt.Errorf("-log %q: text or json was expected", *form)
	}
	return opt, nil
}

// sameFile reports whether both names lead to one file, which reading and
// writing at once would destroy.
func sameFile(a, b string) bool {
	fa, errA := os.Stat(a)
	fb, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(fa, fb)
}

// logger is where messages about the work, not about packets, go.
func (opt options) logger(w io.Writer) *slog.Logger {
	ho := &slog.HandlerOptions{}
	if opt.verbose {
		ho.Level = slog.LevelDebug
	}
	if opt.logJSON {
		return slog.New(slog.NewJSONHandler(w, ho))
	}
	return slog.New(slog.NewTextHandler(w, ho))
}
