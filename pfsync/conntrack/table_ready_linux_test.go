package conntrack

import (
	"context"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// udpSNAT is a UDP connection that is translated, with packets in both directions.
func udpSNAT(status Status) Entry {
	e := udp("192.0.2.100", 5000, "198.51.100.100", 53, "198.51.100.100", 53, "198.51.100.1", 40000)
	e.Status |= status
	return e
}

// wantWritten compares what is put into the kernel.
func (m *mirrorTest) wantWritten(when string, want ...Entry) {
	m.t.Helper()
	put, _ := m.written()
	if len(put) != len(want) {
		m.t.Fatalf("%s: written: %v, want %v", when, put, want)
	}
	for i := range want {
		if put[i].Orig != want[i].Orig || put[i].Reply != want[i].Reply {
			m.t.Errorf("%s: written: %v, want %v", when, &put[i], &want[i])
		}
	}
}

// TestAdoptedIsWritten: who has just been told all there is may become master before a
// dump shows what of it the kernel lacks. Packets that pass then would be translated
// anew.
func TestAdoptedIsWritten(t *testing.T) {
	e := udpSNAT(StatusAssured)
	old := e
	old.Reply.DstPort++
	for name, there := range map[string][]Entry{"an empty kernel": nil, "an old entry": {old}} {
		m := newMirrorTest(t, TableConfig{})
		m.adopting = true
		m.dump(there...)
		m.peerSays(&e, nil)
		m.Adopted()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if m.Commit(ctx) == nil {
			t.Errorf("%s: commit does not wait for what was adopted", name)
		}
		m.wantWritten(name, e)
		m.dump(e)
		m.wantWritten(name + ", once it is there")
	}
}

// TestCommitPutsBack: what the kernel has dropped since the last dump, or is about to
// drop, is there again when the addresses come.
func TestCommitPutsBack(t *testing.T) {
	for name, lose := range map[string]func(*mirrorTest, *Entry){
		"destroyed": func(m *mirrorTest, e *Entry) { m.destroyed(m.now, e) },
		"nearly over": func(m *mirrorTest, e *Entry) {
			m.now = m.now.Add(30 * time.Second)
			for _, c := range m.conns.all(nil) { // all but its time in the kernel is as if it were used
				for _, id := range c.ids {
					m.memory.Update(m.now, id, inUse)
				}
			}
			m.now = m.now.Add(time.Duration(e.Timeout-30-1) * time.Second)
		},
	} {
		m := newMirrorTest(t, TableConfig{})
		e := udpSNAT(StatusAssured)
		e.Timeout = 60
		m.peerSays(&e, nil)
		m.wantWritten(name+": at first", e)
		m.dump(e)
		m.lacking(m.now)
		m.wantWritten(name + ": it is there")
		lose(m, &e)
		m.lacking(m.now)
		m.wantWritten(name, e)
	}
}

// TestStandbyKeepsUp: while packets of a connection pass at the master, the kernel of
// the standby has it at any time, and for longer than it takes to become master.
func TestStandbyKeepsUp(t *testing.T) {
	const refresh, takeOver, runs = 15 * time.Second, 4 * time.Second, 40
	late := []time.Duration{0, time.Second, 300 * time.Millisecond} // the messages of a node
	for name, e := range map[string]Entry{"single": udpSNAT(0), "multiple": udpSNAT(StatusAssured)} {
		t.Run(name, func(t *testing.T) {
			master, standby := newMirrorTest(t, TableConfig{}), newMirrorTest(t, TableConfig{})
			e.Timeout = 30
			if e.Status&StatusAssured != 0 {
				e.Timeout = 120
			}
			master.changed(master.now, &e)
			master.wantSaid("new", "insert ours", "insert ours")
			var ids []pfsync.StateID
			var st pfsync.State
			for _, c := range master.conns.all(nil) {
				for _, id := range c.ids {
					ids = append(ids, id)
					if !master.Get(master.now, id, &st) || standby.Insert(standby.now, &st, nil) != nil {
						t.Fatal("the standby does not take it")
					}
				}
			}
			var until time.Time // when the kernel of the standby drops it
			write := func() {
				if put, _ := standby.written(); len(put) > 0 {
					until = standby.now.Add(time.Duration(put[len(put)-1].Timeout) * time.Second)
				}
			}
			write()
			for i := range runs {
				master.now = master.now.Add(refresh)
				master.dump(e) // packets pass all the time
				news := master.now.Add(late[i%len(late)])
				if left := until.Sub(news); left < takeOver {
					t.Fatalf("run %d: the kernel of the standby has it for %v more", i, left)
				}
				standby.now = news
				standby.Expire(news, nil)
				if len(master.said()) == 0 {
					continue
				}
				for _, id := range ids {
					if !standby.Update(news, id, inUse) {
						t.Fatalf("run %d: the standby has lost it", i)
					}
				}
				write()
			}
		})
	}
}
