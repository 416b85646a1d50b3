package conntrack

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/pfsync"
)

// forwarded are the entries of a kernel that are about the client and the server.
func (e *syncEnd) forwarded() []Entry {
	return slices.DeleteFunc(e.kern.all(), func(x Entry) bool { return e.table.ours(&x) })
}

// ours reports whether an entry is not to be mirrored because of where it leads.
func (t *Table) ours(e *Entry) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e2 := *e
	e2.TCP.State, e2.Status = TCPEstablished, StatusSeenReply
	return !t.wanted(&e2)
}

// seen reports whether packets of a connection to a port have passed here.
func (t *Table) seen(port uint16) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, c := range t.conns.all(nil) {
		if k.Port[1] == port {
			return c.has(seen)
		}
	}
	return false
}

// TestTableSurvival moves a TCP session with SNAT to the other firewall, and back, with
// states in the kernel at once or as late as can be.
func TestTableSurvival(t *testing.T) {
	t.Parallel()
	for _, policy := range []Policy{Inject, Hold} {
		t.Run(policy.String(), func(t *testing.T) {
			t.Parallel()
			p := newSyncPair(t, func(c *TableConfig) { c.Policy = policy }).start()
			c := p.dial(p.NS("client"), p.NS("server"), "tcp", "198.51.100.100:7", "198.51.100.100:7")
			p.same("one session", 2)
			if policy == Hold && len(p.b.forwarded()) != 0 {
				t.Errorf("held states are in the kernel:%s", p.fw2.list())
			}
			p.move(p.a, p.b)
			if err := c.talk("still there?", long); err != nil {
				t.Fatalf("the session has died: %v%s", err, p.fw2.list())
			}
			// At once: the first one is to know that it has missed packets without
			// having been told.
			p.move(p.b, p.a)
			if err := c.talk("and back?", long); err != nil {
				t.Fatalf("the session has died on its way back: %v%s", err, p.fw1.list())
			}
			p.move(p.a, p.b)
			p.await("the successor has seen packets", func() bool {
				if err := c.talk("again?", long); err != nil {
					t.Fatalf("the session has died the third time: %v%s", err, p.fw2.list())
				}
				return p.b.table.seen(7)
			})
			p.await("and the other one knows", func() bool { return !p.a.table.seen(7) })
			if p.leaked() {
				t.Error("packets went out untranslated")
			}
			p.same("the same session", 2)
			c.near.Close()
			c.far.Close()
			p.await("it is closing on the other one", func() bool {
				return !slices.ContainsFunc(p.a.states(), func(st pfsync.State) bool { return st.Timeout < pfsync.TCPClose })
			})
			p.b.ns.Run("conntrack", "-F")
			p.same("nothing", 0)
			if policy == Inject {
				p.await("nothing in the kernel", func() bool { return len(p.a.forwarded()) == 0 })
			}
		})
	}
}

// TestTableSurvivalOfAll moves connections of all other kinds.
func TestTableSurvivalOfAll(t *testing.T) {
	t.Parallel()
	for _, dialect := range []pfsync.Dialect{pfsync.OpenBSD, pfsync.FreeBSD12, pfsync.FreeBSD15} {
		t.Run(dialect.String(), func(t *testing.T) {
			t.Parallel()
			p := newSyncPair(t, func(c *TableConfig) { c.Memory.Dialect = dialect }).start()
			netns.Require(t, "ping")
			client, server := p.NS("client"), p.NS("server")
			sessions := map[string]*session{
				"SNAT":         p.dial(client, server, "tcp", "198.51.100.100:7", "198.51.100.100:7"),
				"SNAT of IPv6": p.dial(client, server, "tcp", "[2001:db8:2::100]:7", "[2001:db8:2::100]:7"),
				"DNAT":         p.dial(server, client, "tcp", "198.51.100.1:80", "192.0.2.100:8080"),
			}
			udp := opened(t, server, func() (net.PacketConn, error) { return net.ListenPacket("udp", "198.51.100.100:7") })
			defer udp.Close()
			near := opened(t, client, func() (net.Conn, error) { return net.Dial("udp", "198.51.100.100:7") })
			defer near.Close()
			b := make([]byte, 64)
			fmt.Fprint(near, "hello")
			udp.SetReadDeadline(time.Now().Add(long))
			_, from, err := udp.ReadFrom(b)
			if err != nil {
				t.Fatal(err)
			}
			udp.WriteTo([]byte("hello"), from)
			near.SetReadDeadline(time.Now().Add(long))
			if _, err := near.Read(b); err != nil {
				t.Fatal(err)
			}
			pings := [][]string{{"-c1", "-W2", "-e", "4711", "198.51.100.100"}, {"-c1", "-W2", "-e", "4711", "2001:db8:2::100"}}
			for _, args := range pings {
				client.Run("ping", args...)
			}
			p.same("three sessions, UDP, and two pings", 12)
			p.await("all in the other kernel", func() bool { return len(p.b.forwarded()) == 6 })
			for _, e := range p.b.forwarded() {
				same := p.fw1.find(func(x *Entry) bool { return x.Orig == e.Orig })
				if same.Reply != e.Reply || same.TCP.State != e.TCP.State || same.TCP.WScale != e.TCP.WScale {
					t.Errorf("mirrored as %v, want %v", &e, &same)
				}
			}
			// The second firewall lets nothing pass that it does not know.
			p.fw2.ns.Run("nft", "flush ruleset")
			p.fw2.rules(firewall2)
			p.move(p.a, p.b)
			udp.WriteTo([]byte("still there?"), from)
			near.SetReadDeadline(time.Now().Add(long))
			if n, err := near.Read(b); err != nil || string(b[:n]) != "still there?" {
				t.Errorf("UDP: %q, %v%s", b[:n], err, p.fw2.list())
			}
			for _, args := range pings {
				if out, err := client.Try("ping", args...); err != nil {
					t.Errorf("ping: %v\n%s%s", err, out, p.fw2.list())
				}
			}
			for name, c := range sessions {
				if err := c.talk("still there?", long); err != nil {
					t.Errorf("%s: the session has died: %v%s", name, err, p.fw2.list())
				}
			}
			if p.leaked() {
				t.Error("packets went out untranslated")
			}
		})
	}
}

// udpEntries are n entries of UDP that live for some seconds.
func udpEntries(n int, timeout uint32) []Entry {
	all := make([]Entry, n)
	for i := range all {
		all[i] = Entry{
			Orig: Tuple{Src: netip.AddrFrom4([4]byte{192, 0, 2, 100}), Dst: netip.AddrFrom4([4]byte{203, 0, byte(i >> 15), 113}),
				Proto: ProtoUDP, SrcPort: uint16(i%30000 + 1024), DstPort: uint16(i / 30000)},
			Status: StatusConfirmed | StatusSeenReply | StatusAssured, Timeout: timeout,
		}
		all[i].Reply = all[i].Orig.Inverse()
	}
	return all
}

// TestTableExpiry: what nobody uses ends on both, and lives no shorter on the other; also
// where the rest of the table is not looked at for it.
func TestTableExpiry(t *testing.T) {
	t.Parallel()
	for _, large := range []bool{false, true} {
		t.Run(fmt.Sprintf("large %t", large), func(t *testing.T) {
			t.Parallel()
			p := newSyncPair(t, nil).start()
			if large {
				p.a.table.large()
				p.b.table.large()
			}
			p.fw1.put(tcp4(1))
			p.fw1.put(udpEntries(10, 4)...)
			p.same("eleven", 22)
			began := time.Now()
			for p.a.table.Len() > 2 {
				if n := p.b.table.Len(); n != 22 && p.a.table.Len() == 22 {
					t.Fatalf("%d states are left on the other one after %v", n, time.Since(began))
				}
				time.Sleep(20 * time.Millisecond)
			}
			p.same("one", 2)
			p.await("one in the kernel", func() bool { return len(p.b.forwarded()) == 1 })
			if s := p.a.table.Stats(); s.Ended != 10 {
				t.Errorf("%+v", s)
			}
			if s := p.b.table.Stats(); s.Ended != 0 {
				t.Errorf("the standby has ended something: %+v", s)
			}
		})
	}
}

// TestTableHeals: a standby puts back what it has lost, and tells nobody that it is
// gone.
func TestTableHeals(t *testing.T) {
	t.Parallel()
	p := newSyncPair(t, nil).start()
	p.fw1.put(udpEntries(10, 100)...)
	p.same("ten", 20)
	p.await("ten in the kernel", func() bool { return len(p.b.forwarded()) == 10 })
	p.fw2.clear()
	p.await("ten in the kernel, again", func() bool { return len(p.b.forwarded()) == 10 })
	p.same("ten, still", 20)
	p.b.kern.ns.Run("conntrack", "-D", "-p", "udp", "--orig-port-src", "1024")
	p.await("the one that was deleted is back", func() bool { return len(p.b.forwarded()) == 10 })
	p.a.kern.ns.Run("conntrack", "-D", "-p", "udp", "--orig-port-src", "1024")
	p.same("without the one that was deleted at its master", 18)
	p.await("nine in the kernel", func() bool { return len(p.b.forwarded()) == 9 })
}

// TestTableOverrun loses events, and finds what has changed.
func TestTableOverrun(t *testing.T) {
	t.Parallel()
	p := newSyncPair(t, func(c *TableConfig) { c.ReadBuffer = 1; c.Refresh = 15 * time.Second }).start()
	const n = 20000
	p.fw1.put(udpEntries(n, 500)...)
	p.same("all", 2*n)
	p.fw1.clear()
	p.same("none", 0)
	if s := p.a.table.Stats(); s.Overruns == 0 {
		t.Errorf("nothing was lost, so nothing was tested: %+v", s)
	}
}

// TestTableRestart starts one daemon again, whose kernel has kept the entries: they
// keep their names.
func TestTableRestart(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"master", "standby"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			p := newSyncPair(t, nil).start()
			c := p.dial(p.NS("client"), p.NS("server"), "tcp", "198.51.100.100:7", "198.51.100.100:7")
			p.fw1.put(udpEntries(100, 300)...)
			p.same("before", 202)
			p.await("in the other kernel", func() bool { return len(p.b.forwarded()) == 101 })
			before := p.a.states()
			e := p.a
			if who == "standby" {
				e = p.b
			}
			e.stop()
			e.start()
			p.await("in sync", e.synced)
			p.same("after", 202)
			time.Sleep(e.conf.Adopt + 2*e.conf.Refresh) // nothing is given a name later, either
			p.same("still", 202)
			for i, st := range p.a.states() {
				if st.StateID != before[i].StateID {
					t.Fatalf("%v is called %v now", before[i].StateID, st.StateID)
				}
			}
			p.move(p.a, p.b)
			if err := c.talk("still there?", long); err != nil {
				t.Fatalf("the session has died: %v%s", err, p.fw2.list())
			}
		})
	}
}

// TestTableAlone: entries that were there before, and that no peer knows, are told to
// one that comes later.
func TestTableAlone(t *testing.T) {
	t.Parallel()
	p := newSyncPair(t, nil)
	c := p.dial(p.NS("client"), p.NS("server"), "tcp", "198.51.100.100:7", "198.51.100.100:7")
	// Put there by a peer, in a former life: over, perhaps, where it lived.
	leftover := tcp4(4711)
	leftover.TCP.Flags = [2]TCPFlags{TCPLiberal, TCPLiberal}
	p.fw1.put(leftover)
	p.a.start()
	p.await("the session has a name", func() bool { return p.a.table.Len() == 2 })
	p.b.start()
	p.same("told", 2)
	if s := p.a.table.Stats(); s.Unnamed != 1 {
		t.Errorf("what is left over is told, too: %+v", s)
	}
	p.move(p.a, p.b)
	if err := c.talk("still there?", long); err != nil {
		t.Fatalf("the session has died: %v%s", err, p.fw2.list())
	}
}

// TestTableSplit: both have given names to a connection while they could not hear each
// other. One counts, and nothing dies.
func TestTableSplit(t *testing.T) {
	t.Parallel()
	p := newSyncPair(t, nil)
	entries := udpEntries(50, 300)
	p.fw1.put(entries...)
	p.fw2.put(entries...)
	for _, kern := range []*table{p.fw1, p.fw2} {
		kern.ns.IP("link set sync down")
	}
	p.a.start()
	p.b.start()
	renew := func() {
		for i := range entries {
			entries[i].Timeout += 20
		}
		p.fw1.put(entries...)
		p.fw2.put(entries...)
	}
	p.await("both have named them", func() bool {
		renew()
		return p.a.table.Len() == 100 && p.b.table.Len() == 100
	})
	if p.a.digest() == p.b.digest() {
		t.Fatal("they agree already")
	}
	for _, kern := range []*table{p.fw1, p.fw2} {
		kern.ns.IP("link set sync up")
	}
	p.same("agreed", 100)
	for _, e := range []*syncEnd{p.a, p.b} {
		if n := len(e.forwarded()); n != 50 {
			t.Errorf("%s: %d entries in the kernel", e.name, n)
		}
	}
}
