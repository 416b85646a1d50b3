package pfsync_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// A gate is a transport that holds the node up in WritePackets while it is closed, and
// keeps what is sent.
type gate struct {
	pfsync.Transport
	pass  chan struct{} // closed when the gate is open
	calls [][][]byte
}

func (g *gate) WritePackets(dst netip.Addr, payloads [][]byte) (int, error) {
	<-g.pass
	var kept [][]byte
	for _, b := range payloads {
		kept = append(kept, slices.Clone(b))
	}
	g.calls = append(g.calls, kept)
	return g.Transport.WritePackets(dst, payloads)
}

// sizes are the numbers of frames of the calls.
func (g *gate) sizes() (sizes []int) {
	for _, c := range g.calls {
		sizes = append(sizes, len(c))
	}
	return sizes
}

// messages are those of all frames, as the action and the number of the state.
func (g *gate) messages(t *testing.T) (all []string) {
	t.Helper()
	for _, c := range g.calls {
		for _, b := range c {
			f, err := pfsync.Parse(pfsync.OpenBSD, b)
			if err != nil {
				t.Fatal(err)
			}
			for s := range f.Sections() {
				for m := range s.Messages() {
					var id pfsync.StateID
					switch s.Action {
					case pfsync.ActClr:
						var clr pfsync.Clr
						clr.UnmarshalBinary(m)
						all = append(all, "CLR "+clr.IfName.String())
						continue
					case pfsync.ActDelC:
						id.UnmarshalBinary(m)
					default:
						var st pfsync.State
						st.Unmarshal(s.Format, m)
						id = st.StateID
					}
					all = append(all, fmt.Sprint(s.Action, " ", id.ID))
				}
			}
		}
	}
	return all
}

// asked counts how often a state is asked for.
type asked struct {
	*pfsync.Memory
	gets int
}

func (a *asked) Get(now time.Time, id pfsync.StateID, st *pfsync.State) bool {
	a.gets++
	return a.Memory.Get(now, id, st)
}

// startGated starts a node whose gate is closed while it wants to send.
func startGated(t *testing.T, b *bench) (h *host, g *gate, store *asked) {
	t.Helper()
	g = &gate{pass: make(chan struct{})}
	close(g.pass)
	h = b.start("a", func(c *pfsync.NodeConfig) {
		g.Transport, store = c.Transport, &asked{Memory: c.Store.(*pfsync.Memory)}
		c.Transport, c.Store = g, store
	})
	time.Sleep(time.Minute) // the bulk update that nobody answers is over
	synctest.Wait()
	g.pass, g.calls = make(chan struct{}), nil
	h.Cleared(pfsync.Name{})
	synctest.Wait()
	return h, g, store
}

// TestNodeSendsBatches: what the embedder has done while the node was busy leaves in the
// same order, many frames at once but not too many, and each state is looked at once.
func TestNodeSendsBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2000
		h, g, store := startGated(t, newBench(t))
		want := []string{"CLR "}
		for i := range uint64(n) {
			h.insert(t, tcpState(i, 'a'))
			want = append(want, fmt.Sprint("INS ", i))
			if i == n/2 {
				for _, ifname := range []string{"em0", "", "em1"} {
					name, _ := pfsync.MakeName(ifname)
					h.Cleared(name)
				}
			}
		}
		store.gets = 0
		close(g.pass)
		if err := h.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		// A CLR does not wait for the frame that is being filled.
		full := n/2 + 1 - (n/2+1)%5
		want = slices.Insert(want, 1+full, "CLR em0", "CLR ", "CLR em1")
		if diff := cmp.Diff(want, g.messages(t)); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		if store.gets != n {
			t.Errorf("%d states were asked for %d times", n, store.gets)
		}
		sizes := g.sizes()
		if most := slices.Max(sizes); most < 20 || most > 64 || len(sizes) > 20 {
			t.Errorf("frames were sent in portions of %d", sizes)
		}
	})
}

// TestNodeSendsWhileItReceives: answers to many packets do not pile up.
func TestNodeSendsWhileItReceives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		h, g, _ := startGated(t, b)
		close(g.pass)
		for i := range uint64(3000) {
			h.insert(t, tcpState(i, 'a'))
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()

		g.calls, g.pass = nil, make(chan struct{})
		h.Cleared(pfsync.Name{})
		synctest.Wait()
		peer := b.seg.Attach("b", benchAddrs["b"])
		defer peer.Close()
		w := pfsync.NewWriter(pfsync.OpenBSD, 0, 1500)
		for i := uint64(0); i < 3000; {
			w.Reset(nil)
			for i < 3000 && w.UpdReq(pfsync.StateID{ID: i, CreatorID: 'a'}) {
				i++
			}
			if _, err := peer.WritePackets(pfsync.Group4, [][]byte{w.Bytes()}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		close(g.pass)
		time.Sleep(5 * time.Second)
		synctest.Wait()

		want := []string{"CLR "}
		for i := range 3000 {
			want = append(want, fmt.Sprint("UPD ", i))
		}
		if diff := cmp.Diff(want, g.messages(t)); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		// The one that fills a portion may bring 120 requests, for 24 frames.
		sizes := g.sizes()
		if most := slices.Max(sizes); most < 64 || most > 64+24 {
			t.Errorf("frames were sent in portions of %d", sizes)
		}
	})
}

// TestNodeSendsNothingOfWhatIsGone: a state that was removed before the node has looked
// is nobody's business.
func TestNodeSendsNothingOfWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g, _ := startGated(t, newBench(t))
		stays, told, untold := tcpState(1, 'a'), tcpState(2, 'a'), tcpState(3, 'a')
		for _, st := range []*pfsync.State{told, untold, stays} {
			h.insert(t, st)
		}
		h.table.Delete(told.StateID)
		h.Deleted(told.StateID)
		h.table.Delete(untold.StateID)
		close(g.pass)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"CLR ", "INS 1"}, g.messages(t)); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}
