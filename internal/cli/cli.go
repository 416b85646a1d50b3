// Package cli is what the example programs have in common: their exit codes,
// their logs, and how a secret gets in without being seen.
package cli

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"unsafe"
)

// The exit codes of every program.
const (
	OK      = 0
	Failure = 1 // at run time
	Usage   = 2 // wrong flags or wrong configuration
)

// Logging holds the flags that say how to log.
type Logging struct {
	format  string
	verbose bool
}

// Flags adds -log and -v to fs.
func (l *Logging) Flags(fs *flag.FlagSet) {
	fs.StringVar(&l.format, "log", "text", "")
	fs.BoolVar(&l.verbose, "v", false, "")
}

// Logger logs to w. It fails if -log is something else than text or json.
func (l *Logging) Logger(w io.Writer) (*slog.Logger, error) {
	opt := &slog.HandlerOptions{Level: slog.LevelInfo}
	if l.verbose {
		opt.Level = slog.LevelDebug
	}
	switch l.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opt)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opt)), nil
	}
	return nil, fmt.Errorf("-log %q: want text or json", l.format)
}

// Daemon is a Logger for what must not wait for its log. Call flush at the end.
func (l *Logging) Daemon(w io.Writer) (log *slog.Logger, flush func(), err error) {
	direct, err := l.Logger(w)
	if err != nil {
		return nil, nil, err
	}
	q := NewQueue(w, func(n uint64) { direct.Warn("lines of this log are lost", "lines", n) })
	log, err = l.Logger(q)
	return log, q.Flush, err
}

// maxSecretFile is more than any passphrase needs: whoever names a device or a
// disk image by mistake is told so.
const maxSecretFile = 4096

// ReadSecret is the first line of a file.
func ReadSecret(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", err
	}
	line, rest, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case len(b) > maxSecretFile:
		return "", fmt.Errorf("%s: longer than %d octets: not a passphrase", name, maxSecretFile)
	case line == "":
		return "", fmt.Errorf("%s: the first line is empty: want a passphrase", name)
	case strings.TrimSpace(rest) != "":
		return "", fmt.Errorf("%s: more than one line: want a passphrase and nothing else", name)
	}
	return line, nil
}

// TakeArgs returns the command line, without the program's name, and takes the
// values of the flags named out of the list of processes: the kernel shows the
// memory that the arguments came in, where os.Args still points to.
func TakeArgs(secret ...string) []string {
	args := os.Args[1:]
	own := make([]string, len(args))
	for i, a := range args {
		own[i] = strings.Clone(a)
	}
	for i, a := range args {
		name, isFlag := strings.CutPrefix(a, "-")
		name, value, joined := strings.Cut(strings.TrimPrefix(name, "-"), "=")
		switch {
		case !isFlag || !slices.Contains(secret, name):
		case joined:
			blank(value)
		case i+1 < len(args):
			blank(args[i+1])
		}
	}
	return own
}

// blank overwrites s, which must be memory of the process's arguments.
func blank(s string) {
	if len(s) > 0 {
		clear(unsafe.Slice(unsafe.StringData(s), len(s)))
	}
}
