package sim

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// seeds are how many worlds to run, and the first of them.
func seeds(t *testing.T, count int) (first uint64, n int) {
	t.Helper()
	first = uint64(time.Now().UnixNano())
	if s := os.Getenv("GOCARP_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 0, 64)
		if err != nil {
			t.Fatalf("GOCARP_SEED=%q: want a number", s)
		}
		first = v
	}
	if s := os.Getenv("GOCARP_SCHEDULES"); s != "" {
		v, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("GOCARP_SCHEDULES=%q: want a number", s)
		}
		count = v
	}
	t.Logf("%d worlds from seed %d on; GOCARP_SEED and GOCARP_SCHEDULES change that", count, first)
	return first, count
}

// TestTablesConverge has two nodes change their tables at random over a network
// that loses, duplicates, reorders and splits, and restarts them. When all that is
// over the tables are the same, and nothing lives that was deleted.
func TestTablesConverge(t *testing.T) {
	first, n := seeds(t, 3)
	const ops = 100_000
	for i := range n {
		seed := first + uint64(i)
		w := newWorld(seed, pfsync.Dialect(seed%4), true)
		play(w, ops)
		if !settle(w) || w.err != nil {
			t.Errorf("seed %d (%v): %v: %s", seed, w.nodes[0].config.Dialect, w.err, w.differ())
			continue
		}
		for _, n := range w.nodes {
			for id := range n.deleted {
				var st pfsync.State
				if w.nodes[0].store.Get(w.now, id, &st) {
					t.Errorf("seed %d: %v was deleted by %s, and lives", seed, id, n.name)
				}
			}
			for _, s := range n.converger.Status() {
				if s.Agreement != pfsync.Identical {
					t.Errorf("seed %d: %s says %v, %d differ", seed, n.name, s.Agreement, s.Differ)
				}
			}
		}
	}
}

// play makes random changes under random faults.
func play(w *world, ops int) {
	w.faults = faults{loss: 0.1, duplicate: 0.05, delay: time.Millisecond, jitter: 20 * time.Millisecond}
	for range ops {
		n := w.nodes[w.rand.IntN(2)]
		switch k := w.rand.IntN(1000); {
		case k < 300:
			n.insert()
		case k < 800:
			n.update()
		case k < 990:
			n.delete()
		case k < 994:
			w.cut[w.rand.IntN(2)] = true
		case k < 998:
			w.cut = [2]bool{}
		case k == 998:
			n.restart()
		default:
			w.run(time.Duration(w.rand.Int64N(int64(10 * time.Second))))
		}
		w.run(time.Duration(w.rand.Int64N(int64(20 * time.Millisecond))))
	}
	w.faults = faults{delay: time.Millisecond}
	w.cut = [2]bool{}
}

// settle waits until the tables are the same, and until the nodes have noticed.
func settle(w *world) bool {
	for range 60 {
		w.run(time.Second)
		if w.differ() == "" {
			w.run(3 * time.Second)
			return w.differ() == ""
		}
	}
	return false
}

// random is a state of the node's own table, rather a young one.
func (n *node) random() (st pfsync.State, ok bool) {
	ids := n.w.ids
	for range 100 {
		if len(ids) == 0 {
			break
		}
		ids = ids[n.w.rand.IntN(len(ids)):]
		if n.store.Get(n.w.now, ids[0], &st) {
			return st, true
		}
		if len(ids) == 1 {
			ids = n.w.ids
		}
	}
	return st, false
}

func (n *node) insert() {
	n.serial++
	r := n.w.rand
	var st pfsync.State
	st.StateID = pfsync.StateID{ID: n.epoch<<32 | n.serial, CreatorID: n.config.HostID}
	copy(st.IfName[:], "all")
	st.AF, st.Direction = pfsync.AFInet, pfsync.Out
	st.Proto = []uint8{6, 6, 6, 17, 1}[r.IntN(5)]
	for _, k := range []*pfsync.Key{&st.Wire, &st.Stack} {
		k.AF, k.Proto = st.AF, st.Proto
		k.Addr[0], k.Addr[1] = pfsync.Addr{10, 0, 0, 1}, pfsync.Addr{10, byte(n.config.HostID), byte(n.serial >> 8), byte(n.serial)}
		k.Port[0], k.Port[1] = 80, uint16(n.epoch)
	}
	st.Rule, st.Anchor, st.NATRule = 1<<32-1, 1<<32-1, 1<<32-1
	st.RTableID = [2]int32{-1, -1}
	switch st.Proto {
	case 6:
		st.Timeout = pfsync.TCPEstab
		st.Src = pfsync.Peer{State: pfsync.TCPEstablished, SeqLo: r.Uint32(), MaxWin: 1000}
		st.Dst = pfsync.Peer{State: pfsync.TCPEstablished, SeqLo: r.Uint32(), MaxWin: 1000}
	case 17:
		st.Timeout = pfsync.UDPFirst
		st.Src.State = pfsync.Single
	default:
		st.Timeout = pfsync.ICMPFirst
	}
	n.w.check(n.store.Insert(n.w.now, &st, nil))
	n.w.ids = append(n.w.ids, st.StateID)
	n.step(pfsync.Event{Kind: pfsync.EventInsert, State: &st, ID: st.StateID})
}

// update is a packet of a connection.
func (n *node) update() {
	st, ok := n.random()
	if !ok {
		return
	}
	r := n.w.rand
	n.store.Update(n.w.now, st.StateID, func(st *pfsync.State) pfsync.Keep {
		p := []*pfsync.Peer{&st.Src, &st.Dst}[r.IntN(2)]
		switch st.Proto {
		case 6:
			p.SeqLo += uint32(r.IntN(100_000))
			p.SeqHi = p.SeqLo + 1000
			if r.IntN(20) == 0 && p.State < pfsync.TCPTimeWait {
				p.State = []pfsync.PeerState{7, 9, 10}[r.IntN(3)]
				st.Timeout = pfsync.TCPClose
			}
		case 17:
			p.State = min(p.State+1, pfsync.Multiple)
			if st.Src.State == pfsync.Multiple && st.Dst.State == pfsync.Multiple {
				st.Timeout = pfsync.UDPMultiple
			}
		}
		return pfsync.KeepAll
	})
	n.step(pfsync.Event{Kind: pfsync.EventUpdate, ID: st.StateID, Proto: st.Proto})
}

func (n *node) delete() {
	if st, ok := n.random(); ok && n.store.Delete(st.StateID) {
		n.deleted[st.StateID] = true
		n.removed(st.StateID)
	}
}

// restart loses all that a node knows. What it deleted and could not tell the
// other nobody knows any more.
func (n *node) restart() {
	var st pfsync.State
	for id := range n.deleted {
		if n.peer().store.Get(n.w.now, id, &st) {
			delete(n.deleted, id)
		}
	}
	n.start(n.converger != nil)
}
