package main

import (
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/simnet"
)

// altered is a scenario with something that is done to the world before anything
// else happens in it.
func altered(name string, alter func(w *world)) *scenario {
	s := chosen(name)[0]
	whole := s.steps
	s.steps = func(w *world) []step {
		alter(w)
		return whole(w)
	}
	return &s
}

// TestUnsynced takes the sync cable away. The firewall that takes over then knows of
// no session, and resets it: if it lived on, it would prove nothing.
func TestUnsynced(t *testing.T) {
	for _, name := range []string{"planned", "crash", "cable", "partition", "single-wan"} {
		s := chosen(name)[0]
		s.unsynced = true
		r := mustRun(t, &s, 1)
		if r.verdict.SessionAlive || r.verdict.StatesEqual {
			t.Errorf("%s without pfsync: %s", name, r.verdict.connections())
		}
		takeover := find(t, r, func(e event) bool { return e.Node == "fw2" && e.To == "MASTER" })
		reset := find(t, r, func(e event) bool { return e.Kind == kindSession && !e.Time.Before(takeover.Time) })
		between(t, name+": the session dies after", milliseconds(reset.Time.Sub(takeover.Time)), 0, 3000)
		between(t, "what happened to the TCP session", count(r, kindSession), 2, 3) // at one end or both
	}
}

// TestBulkBeforePreempt wants a firewall that boots to stay a backup, however good
// its advskew, until it has the states.
func TestBulkBeforePreempt(t *testing.T) {
	for _, name := range []string{"crash", "single-wan"} {
		for seed := range uint64(5) {
			r := mustRun(t, &chosen(name)[0], seed)
			boot := lastIndex(r, func(e event) bool { return e.Node == "fw1" && e.Text == "power on" })
			bulk := lastIndex(r, func(e event) bool { return e.Node == "fw1" && e.Kind == kindBulkEnd })
			master := boot + slices.IndexFunc(r.events[boot:], func(e event) bool { return e.Node == "fw1" && e.To == "MASTER" })
			if boot < 0 || bulk < boot || master < bulk {
				t.Fatalf("%s, seed %d: power on is event %d, the end of the bulk update %d, MASTER %d", name, seed, boot, bulk, master)
			}
			if n, want := *r.events[bulk].States, 2*(logs+2); n != want {
				t.Errorf("%s, seed %d: %d states, want %d", name, seed, n, want)
			}
			// Without the demotion it would have preempted at the next advert.
			took := r.events[bulk].Time.Sub(r.events[boot].Time)
			between(t, "the bulk update takes", took.Seconds(), 1.4, 2)
		}
	}
}

func lastIndex(r *record, match func(event) bool) int {
	for i, e := range slices.Backward(r.events) {
		if match(e) {
			return i
		}
	}
	return -1
}

// TestTranslation wants the server to see one address and port for each connection,
// whichever firewall has it.
func TestTranslation(t *testing.T) {
	seen := make(map[uint16]map[netip.AddrPort]bool) // by port of the server
	s := altered("crash", func(w *world) {
		w.wan.Drop = func(f []byte, _, _ simnet.SegmentID) bool {
			_, ip, payload, _ := parseIP(f)
			if p, ok := parsePacket(ip, payload); ok && p.dst.Addr() == w.server.addr {
				if seen[p.dst.Port()] == nil {
					seen[p.dst.Port()] = make(map[netip.AddrPort]bool)
				}
				seen[p.dst.Port()][p.src] = true
			}
			return false
		}
	})
	mustRun(t, s, 1)
	for port, want := range map[uint16]int{echoPort: 1, shellPort: 1, syslogPort: logs} {
		if got := len(seen[port]); got != want {
			t.Errorf("port %d: connections from %d places, want %d", port, got, want)
		}
		for from := range seen[port] {
			if from.Addr() != onWAN.host(1) || from.Port() < natLow {
				t.Errorf("port %d: a packet from %v", port, from)
			}
		}
	}
}

// TestLossySync loses a third of what is on the sync cable for most of the time, and
// wants the converger to mend what that has done.
func TestLossySync(t *testing.T) {
	for seed := range uint64(3) {
		s := altered("crash", func(w *world) {
			w.net.SetFaults(w.sync, simnet.Faults{Loss: 0.33, MinDelay: syncDelay, MaxDelay: syncDelay})
		})
		whole := s.steps
		s.length = 60 * time.Second
		s.steps = func(w *world) []step {
			return append(whole(w), step{at: 45 * time.Second, do: func() error {
				w.net.SetFaults(w.sync, simnet.Faults{MinDelay: syncDelay, MaxDelay: syncDelay})
				return nil
			}})
		}
		if r := mustRun(t, s, seed); !r.verdict.SessionAlive || !r.verdict.StatesEqual {
			t.Errorf("seed %d: %s", seed, r.verdict.connections())
		}
	}
}

// TestExpire wants states that nobody uses to go, on both firewalls.
func TestExpire(t *testing.T) {
	var w *world
	s := scenario{length: 80 * time.Second, steps: func(made *world) []step { w = made; return nil }}
	r, err := run(&s, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if !r.verdict.SessionAlive || !r.verdict.StatesEqual {
		t.Error(r.verdict.connections())
	}
	for _, fw := range []*firewall{w.fw1, w.fw2} {
		for what, n := range map[string]int{
			"states": fw.states.Len(), "flows": len(fw.states.flows), "keys": len(fw.states.wire), "stack keys": len(fw.states.stack),
		} {
			between(t, fw.name+": "+what, n, 4, 4) // of the probes and of the session
		}
	}
}
