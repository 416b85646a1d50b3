package pfsync_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// A mergeMatrix is a kernel's answers to updates: for each case a state that it was
// given, one update of it, the state after that and what was sent.
type mergeMatrix struct {
	Cases []mergeCase `json:"cases"`
}

type mergeCase struct {
	N        int      `json:"n"`
	What     string   `json:"what"`
	Insert   hexBytes `json:"insert_frame"`
	Frame    hexBytes `json:"frame"`
	Counters counters `json:"counters_changed"`
	After    hexBytes `json:"state_after_raw"`
	Replies  []struct {
		Packet hexBytes `json:"packet"`
	} `json:"replies"`
}

func TestMergeMatrixOpenBSD(t *testing.T) {
	eachOracle(t, "openbsd-merge-matrix.json", "openbsd/pfsync-merge-matrix.json", func(t *testing.T, _ string, m mergeMatrix) {
		m.test(t, pfsync.OpenBSD)
	})
}

func TestMergeMatrixFreeBSD(t *testing.T) {
	eachOracle(t, "freebsd-merge-matrix.json", "freebsd/pfsync-merge-matrix.json", func(t *testing.T, _ string, m mergeMatrix) {
		m.test(t, pfsync.FreeBSD12)
	})
}

// An outcome is what became of a frame.
type outcome struct {
	State    string // as the kernel exports it, but for its ages
	Ages     bool   // they agree, to two seconds
	Counters counters
	Replies  [][]string
}

func (m *mergeMatrix) test(t *testing.T, d pfsync.Dialect) {
	if len(m.Cases) == 0 {
		t.Fatal("no cases")
	}
	t.Logf("%d cases", len(m.Cases))
	for _, c := range m.Cases {
		t.Run(fmt.Sprint(c.N), func(t *testing.T) {
			t.Log(c.What)
			if diff := cmp.Diff(c.kernel(t, d), c.session(t, d)); diff != "" {
				t.Errorf("-kernel +ours:\n%s", diff)
			}
		})
	}
}

// kernel is what the kernel did. FreeBSD's requests for other states, left over
// from earlier cases, ride on the answers to this one.
func (c *mergeCase) kernel(t *testing.T, d pfsync.Dialect) outcome {
	t.Helper()
	o := outcome{State: fmt.Sprintf("%x", blankAges(formatOf(d), c.After)), Ages: true, Counters: c.Counters}
	for _, r := range c.Replies {
		o.Replies = append(o.Replies, describe(t, d, packetOf(t, r.Packet).Data, leftOver(d)...))
	}
	if o.Counters["oacts.UPD_REQ"] > 0 {
		delete(o.Counters, "oacts.UPD_REQ")
		o.Counters["opackets"] = uint64(len(c.Replies))
		o.Counters["oacts.EOF"] = uint64(len(c.Replies))
	}
	return o
}

// leftOver are the actions that a FreeBSD sends with whatever comes next.
func leftOver(d pfsync.Dialect) []pfsync.Action {
	if d == pfsync.OpenBSD {
		return nil
	}
	return []pfsync.Action{pfsync.ActUpdReq}
}

func (c *mergeCase) session(t *testing.T, d pfsync.Dialect) outcome {
	t.Helper()
	r := replay(t, pfsync.Config{Dialect: d, HostID: 1, KernelExact: true}, pfsync.MemoryConfig{})
	r.step(pfsync.Event{Kind: pfsync.EventLinkUp})
	r.step(pfsync.Event{Kind: pfsync.EventUp})
	r.bus(pfsync.BusStart)
	r.bus(pfsync.BusEnd)
	r.step(pfsync.Event{Kind: pfsync.EventClear}) // takes the bulk request along
	r.sleep(10 * time.Second)
	r.receive(c.Insert)
	r.sleep(100 * time.Millisecond)
	r.take()
	was := r.Stats()
	r.receive(c.Frame)
	r.sleep(120 * time.Millisecond)

	p := packetOf(t, c.Insert)
	f, err := pfsync.Parse(d, p.Data)
	if err != nil {
		t.Fatal(err)
	}
	o := outcome{Ages: true}
	for sec := range f.Sections() {
		for msg := range sec.Messages() {
			var st pfsync.State
			if err := st.Unmarshal(sec.Format, msg); err != nil {
				t.Fatal(err)
			}
			if !r.store.Get(r.now, st.StateID, &st) {
				continue
			}
			raw := st.Append(formatOf(d), nil)
			o.State = fmt.Sprintf("%x", blankAges(formatOf(d), raw))
			o.Ages = sameAges(t, formatOf(d), raw, c.After)
		}
	}
	o.Counters = kernelCounters(t, d, r.Stats(), was)
	for _, b := range r.take() {
		o.Replies = append(o.Replies, describe(t, d, b, leftOver(d)...))
	}
	return o
}

// sameAges reports whether two states are as old and live as long, to two seconds.
func sameAges(t *testing.T, f pfsync.Format, a, b []byte) bool {
	t.Helper()
	if len(a) != len(b) || bytes.Equal(a, b) {
		return true // the state says what is wrong, or nothing is
	}
	var x, y pfsync.State
	if err := x.Unmarshal(f, a); err != nil {
		t.Fatal(err)
	}
	if err := y.Unmarshal(f, b); err != nil {
		t.Fatal(err)
	}
	near := func(a, b uint32) bool { return a-b+2 <= 4 }
	return near(x.Creation, y.Creation) && near(x.Expire, y.Expire)
}
