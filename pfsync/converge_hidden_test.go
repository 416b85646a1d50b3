package pfsync_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// TestRepairSparesWhatIsNotAnnounced has each node announce its own states only. One
// of b changes on a: that is a's version, but not a's to send, let alone to remove.
func TestRepairSparesWhatIsNotAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		own := func(name, peer string) func(c *pfsync.NodeConfig) {
			return func(c *pfsync.NodeConfig) {
				b.converge(name, peer)(c)
				c.Session.Filter = func(st *pfsync.State) bool { return st.CreatorID == uint32(name[0]) }
			}
		}
		a, z := b.start("a", own("a", "b")), b.start("b", own("b", "a"))
		time.Sleep(5 * time.Second)
		st := tcpState(1, 'b')
		z.insert(t, st)
		time.Sleep(5 * time.Second)
		a.table.Update(time.Now(), st.StateID, func(st *pfsync.State) pfsync.Keep { st.Src.SeqLo = 9000; return pfsync.KeepAll })
		a.Updated(st.StateID, 6)
		time.Sleep(30 * time.Second)
		if !a.has(st.StateID) || !z.has(st.StateID) {
			t.Errorf("on a: %v, on b: %v; want the state on both", a.has(st.StateID), z.has(st.StateID))
		}
	})
}
