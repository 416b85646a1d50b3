package conntrack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// Settings are the sysctls of conntrack that decide whether states can be
// mirrored, and how full the table is.
type Settings struct {
	// Events is nf_conntrack_events: 0 none, 1 all, 2 (the kernel's default) only
	// of connections that are opened while somebody listens.
	Events int

	// TCPLoose is nf_conntrack_tcp_loose: a TCP connection in mid-stream that is
	// not in the table is taken for a new one. With it, sessions that need no
	// translation survive a failover even if nothing was mirrored.
	TCPLoose bool

	// TCPLiberal is nf_conntrack_tcp_be_liberal: TCP packets out of window are
	// not INVALID. Entries that a [Writer] makes do not need it; those of a host that
	// gives connections away and gets them back do. See [Sysctl.EnableLiberal].
	TCPLiberal bool

	Acct      bool // nf_conntrack_acct: Entry.Counters are kept
	Timestamp bool // nf_conntrack_timestamp: Entry.Start is kept

	Max   int // nf_conntrack_max: what the table may hold; 0 is no limit
	Count int // nf_conntrack_count: what it holds now
}

// A Sysctl reads and writes the conntrack settings of a network namespace.
type Sysctl struct {
	root    *os.Root // stays with the namespace it was opened in, whichever thread uses it
	journal journal
}

// OpenSysctl opens the settings of the network namespace of the calling thread.
// The error matches [fs.ErrNotExist] if the kernel has no conntrack, or its module
// is not loaded.
func OpenSysctl() (*Sysctl, error) {
	root, err := os.OpenRoot("/proc/sys/net/netfilter")
	if err != nil {
		return nil, fmt.Errorf("conntrack: open settings: %w", err)
	}
	return &Sysctl{root: root}, nil
}

// Close closes the Sysctl.
func (s *Sysctl) Close() error { return s.root.Close() }

// Settings reads the settings.
func (s *Sysctl) Settings() (Settings, error) {
	var v Settings
	var err error
	number := func(key string) int {
		n, rerr := s.read(key)
		if err == nil {
			err = rerr
		}
		return n
	}
	v.Events = number("nf_conntrack_events")
	v.TCPLoose = number("nf_conntrack_tcp_loose") != 0
	v.TCPLiberal = number("nf_conntrack_tcp_be_liberal") != 0
	v.Acct = number("nf_conntrack_acct") != 0
	v.Max = number("nf_conntrack_max")
	v.Count = number("nf_conntrack_count")
	if err != nil {
		return Settings{}, err
	}
	// A kernel can be built without this one.
	n, err := s.read("nf_conntrack_timestamp")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Settings{}, err
	}
	v.Timestamp = n != 0
	return v, nil
}

// SetJournal has EnableEvents and EnableLiberal write down what they change, in files
// whose names begin with base and a dot, so that a process that was killed can be tidied
// up after by the next one. The directory must be there, and the base be that of one
// network namespace, in which one process at a time uses it. An empty base is none.
func (s *Sysctl) SetJournal(base string) { s.journal = journal{base} }

// EnableEvents sets nf_conntrack_events to 1, so that all connections opened
// from now on make events; of older ones a dump tells. The function it returns
// puts the old value back, unless somebody has changed it since.
//
// If it is 1 already, and the journal says that it was set here and never put back, the
// old value is the one in the journal. Who sets it to 1 by hand between a kill and the
// next start is not told apart from that. Any other value is the truth, whatever the
// journal says, and so is a 1 after the machine was started anew.
func (s *Sysctl) EnableEvents() (restore func() error, err error) {
	return s.set("nf_conntrack_events", 1)
}

// EnableLiberal sets nf_conntrack_tcp_be_liberal to 1, as long as connections may
// come back to this host that were elsewhere meanwhile: their windows have moved on,
// and the kernel would take their packets for invalid. Nobody can tell before a crash
// which ones those will be. The function it returns is as that of EnableEvents.
func (s *Sysctl) EnableLiberal() (restore func() error, err error) {
	return s.set("nf_conntrack_tcp_be_liberal", 1)
}

// set sets key, and returns a function that undoes it.
func (s *Sysctl) set(key string, want int) (restore func() error, err error) {
	old, err := s.read(key)
	if err != nil {
		return nil, err
	}
	if old == want {
		former, ours, err := s.journal.noted(key)
		if err != nil {
			return nil, err
		}
		if !ours {
			return func() error { return nil }, nil
		}
		old = former
	} else {
		if err := s.journal.note(key, old); err != nil {
			return nil, err
		}
		if err := s.write(key, want); err != nil {
			return nil, errors.Join(err, s.journal.forget(key))
		}
	}
	return func() error {
		now, err := s.read(key)
		if err != nil {
			return err
		}
		if now == want {
			if err := s.write(key, old); err != nil {
				return err
			}
		}
		return s.journal.forget(key)
	}, nil
}

func (s *Sysctl) read(key string) (int, error) {
	b, err := s.root.ReadFile(key)
	if err != nil {
		return 0, fmt.Errorf("conntrack: read setting: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("conntrack: read setting %s: %w", key, err)
	}
	return n, nil
}

func (s *Sysctl) write(key string, value int) error {
	if err := s.root.WriteFile(key, []byte(strconv.Itoa(value)), 0o644); err != nil {
		return fmt.Errorf("conntrack: set %s to %d: %w", key, value, err)
	}
	return nil
}
