package conntrack

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/pfsyncnet"
)

// A syncPair is two firewalls of a site with a cable between them, over which a node
// on each keeps their Tables the same.
type syncPair struct {
	*site
	a, b *syncEnd
}

// A syncEnd is what runs on one of them.
type syncEnd struct {
	t     testing.TB
	name  string
	kern  *table // the kernel's table
	ns    *netns.NS
	id    uint32
	conf  TableConfig
	table *Table
	node  *pfsync.Node
	stop  func()
}

// The rules of both firewalls: all that is new may come, and is translated.
const syncRules = firewall1

func newSyncPair(t testing.TB, conf func(*TableConfig)) *syncPair {
	t.Helper()
	p := &syncPair{site: newSite(t, syncRules)}
	p.fw1.ns.Veth("sync", p.fw2.ns, "sync")
	p.fw1.ns.Addr("sync", "10.9.9.1/24")
	p.fw2.ns.Addr("sync", "10.9.9.2/24")
	for i, e := range []**syncEnd{&p.a, &p.b} {
		kern := []*table{p.fw1, p.fw2}[i]
		*e = &syncEnd{t: t, name: kern.ns.Name, kern: kern, ns: kern.ns, id: uint32(0xa1 + i)}
		(*e).conf = TableConfig{
			Memory: pfsync.MemoryConfig{Limit: 1 << 20}, HostID: (*e).id, Adopt: 500 * time.Millisecond, Refresh: time.Second,
			Addrs: func() ([]netip.Addr, error) {
				return []netip.Addr{
					netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", 11+i)), netip.MustParseAddr(fmt.Sprintf("198.51.100.%d", 11+i)),
					netip.MustParseAddr(fmt.Sprintf("10.9.9.%d", 1+i)), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1"),
					netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("2001:db8:2::1"),
				}, nil
			},
		}
		if conf != nil {
			conf(&(*e).conf)
		}
	}
	return p
}

// start runs both ends, and waits until they know each other.
func (p *syncPair) start() *syncPair {
	p.t.Helper()
	p.a.start()
	p.b.start()
	p.await("both are in sync", func() bool { return p.a.synced() && p.b.synced() })
	return p
}

// start runs a table and a node.
func (e *syncEnd) start() {
	e.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	e.table = opened(e.t, e.ns, func() (*Table, error) { return OpenTable(e.conf) })
	port := opened(e.t, e.ns, func() (*pfsyncnet.Conn, error) { return pfsyncnet.Listen(pfsyncnet.Config{Interface: "sync"}) })
	side := opened(e.t, e.ns, func() (*pfsyncnet.SideConn, error) {
		return pfsyncnet.ListenSide(pfsyncnet.SideConfig{Interface: "sync"})
	})
	peer := netip.MustParseAddr("10.9.9.2")
	if e.id != 0xa1 {
		peer = netip.MustParseAddr("10.9.9.1")
	}
	var err error
	e.node, err = pfsync.NewNode(pfsync.NodeConfig{
		Session: pfsync.Config{
			Dialect: e.conf.Memory.Dialect, HostID: e.id, Flush: 30 * time.Millisecond, Bulk: pfsync.BulkConfig{Interval: -1},
		},
		AnyPeer: true, Store: e.table, Transport: port, Side: side,
		Converge: pfsync.ConvergeConfig{Peers: []netip.Addr{peer}, Hello: 200 * time.Millisecond},
	})
	if err != nil {
		e.t.Fatal(err)
	}
	e.table.SetSink(e.node)
	for what, run := range map[string]func(context.Context) error{"node": e.node.Run, "table": e.table.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				e.t.Errorf("%s: %s: %v", e.name, what, err)
			}
		})
	}
	e.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	e.t.Cleanup(e.stop)
}

// synced reports whether its tables have been told all there is.
func (e *syncEnd) synced() bool {
	e.table.mu.Lock()
	adopting := e.table.adopting
	e.table.mu.Unlock()
	if adopting {
		return false
	}
	s, err := e.node.Status(e.t.Context())
	return err == nil && s.SyncOK && len(s.Converge) == 1 && s.Converge[0].HostID != 0
}

func (e *syncEnd) digest() (d [pfsync.DigestBuckets]uint64) { e.table.Digest(&d); return d }

// states are all states, by their identity.
func (e *syncEnd) states() []pfsync.State {
	var all []pfsync.State
	buf := make([]pfsync.State, 256)
	for c, more := pfsync.Cursor(0), true; more; more = c != 0 {
		var n int
		n, c = e.table.Scan(time.Now(), c, buf)
		all = append(all, buf[:n]...)
	}
	slices.SortFunc(all, func(x, y pfsync.State) int {
		if later(x.StateID, y.StateID) {
			return 1
		}
		return -1
	})
	return all
}

// await waits until ok.
func (p *syncPair) await(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			for _, e := range []*syncEnd{p.a, p.b} {
				if e.table == nil {
					continue // it was not started
				}
				p.t.Logf("%s: %+v", e.name, e.table.Stats())
				for i, st := range e.states() {
					if i < 20 {
						p.t.Logf("%s %d:%d", st.AppendPfctl(nil, e.conf.Memory.Dialect, 2), st.Src.State, st.Dst.State)
					}
				}
				if n := len(e.kern.all()); n < 50 {
					p.t.Logf("kernel:%s", e.kern.list())
				}
			}
			p.t.Fatalf("never: %s", what)
		}
	}
}

// same waits until both hold n states, alike.
func (p *syncPair) same(what string, n int) {
	p.t.Helper()
	p.await(fmt.Sprintf("%s: %d states, the same on both", what, n), func() bool {
		return p.a.table.Len() == n && p.b.table.Len() == n && p.a.digest() == p.b.digest()
	})
}

// move gives the virtual addresses to one of them, whose states are there first.
func (p *syncPair) move(from, to *syncEnd) {
	p.t.Helper()
	from.table.Yield(true)
	if err := to.table.Commit(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	for _, a := range []string{"192.0.2.1/32 dev lan", "2001:db8:1::1/128 dev lan", "198.51.100.1/32 dev wan", "2001:db8:2::1/128 dev wan"} {
		from.ns.IP("addr del %s", a)
	}
	p.virtual(to.kern)
	p.NS("client").IP("neigh flush dev lan")
	p.NS("server").IP("neigh flush dev wan")
	from.table.Yield(false)
}
