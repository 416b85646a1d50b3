package pfsync_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/pfsynctest"
)

var checkAddrs = map[string]netip.Addr{"a": netip.MustParseAddr("fd2c::1"), "b": netip.MustParseAddr("fd2c::2")}

// checkIPv6Unicast: the sync network has no IPv4, and each box has the other as its
// syncpeer.
func checkIPv6Unicast(t *testing.T) {
	checkOverIPv6(t, func(name string, c *pfsync.NodeConfig) {
		c.Peers = []netip.Addr{checkAddrs[map[string]string{"a": "b", "b": "a"}[name]]}
	})
}

// checkIPv6: the same with the group.
func checkIPv6(t *testing.T) {
	checkOverIPv6(t, func(name string, c *pfsync.NodeConfig) { c.Group = pfsync.Group6 })
}

func checkOverIPv6(t *testing.T, change func(name string, c *pfsync.NodeConfig)) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			var old atomic.Int64
			b.seg.Tap(func(r pfsynctest.Record) {
				if !r.Packet.Dst.Is6() || !r.Packet.Src.Is6() {
					old.Add(1)
				}
			})
			start := func(name string) *host {
				return b.start(name, func(c *pfsync.NodeConfig) {
					c.Session.Dialect = d
					c.Transport = b.seg.Attach(name+"6", checkAddrs[name])
					change(name, c)
				})
			}
			one, two := start("a"), start("b")
			time.Sleep(5 * time.Second)
			in, out := flow(100, 1, echoID, echoType)
			in.CreatorID, out.CreatorID = 'a', 'a'
			one.insert(t, in)
			one.insert(t, out)
			time.Sleep(2 * time.Second)
			if !two.has(in.StateID) || !two.has(out.StateID) {
				t.Error("the other box does not have the states")
			}
			stats := two.status(t).Stats
			if stats.InPackets6 == 0 || stats.InPackets != 0 || old.Load() != 0 {
				t.Errorf("%d packets over IPv6 and %d over IPv4; %d of all that were sent are not IPv6", stats.InPackets6, stats.InPackets, old.Load())
			}
		})
	}, pfsync.FreeBSD14, pfsync.FreeBSD15)
}

// checkIPsec: the boxes are syncpeers, and what they send is sealed on the way. With
// another key no state appears, with the right one it does. A tunnel is a transport.
func checkIPsec(t *testing.T) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		for _, same := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				start := func(name, peer string, key byte) *host {
					return b.start(name, func(c *pfsync.NodeConfig) {
						c.Session.Dialect = d
						c.Transport = newSealed(t, c.Transport, name[0], key)
						c.Peers = []netip.Addr{benchAddrs[peer]}
					})
				}
				theirs := byte(2)
				if same {
					theirs = 1
				}
				one, two := start("a", "b", 1), start("b", "a", theirs)
				time.Sleep(5 * time.Second)
				st, _ := flow(100, 1, echoID, echoType)
				st.CreatorID = 'a'
				one.insert(t, st)
				time.Sleep(2 * time.Second)
				if two.has(st.StateID) != same {
					t.Errorf("same key %v: the state is there: %v", same, !same)
				}
			})
		}
	})
}

// A sealed is a transport whose payloads are encrypted and authenticated.
type sealed struct {
	pfsync.Transport
	aead  cipher.AEAD
	who   byte
	count uint64
}

func newSealed(t *testing.T, inner pfsync.Transport, who, key byte) *sealed {
	t.Helper()
	block, err := aes.NewCipher([]byte{key, 15: 0})
	if err != nil {
		t.Fatal(err)
	}
	s := &sealed{Transport: inner, who: who}
	if s.aead, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sealed) WritePackets(dst netip.Addr, payloads [][]byte) (int, error) {
	out := make([][]byte, len(payloads))
	for i, p := range payloads {
		s.count++
		nonce := make([]byte, s.aead.NonceSize())
		nonce[0] = s.who
		binary.BigEndian.PutUint64(nonce[4:], s.count)
		out[i] = s.aead.Seal(nonce, nonce, p, nil)
	}
	return s.Transport.WritePackets(dst, out)
}

func (s *sealed) ReadPackets(p []pfsync.Packet) (int, error) {
	for {
		n, err := s.Transport.ReadPackets(p)
		good := 0
		for i := range n {
			size := s.aead.NonceSize()
			if len(p[i].Data) < size {
				continue
			}
			clear, bad := s.aead.Open(nil, p[i].Data[:size], p[i].Data[size:], nil)
			if bad == nil {
				p[i].Data = clear
				p[good] = p[i]
				good++
			}
		}
		if good > 0 || err != nil {
			return good, err
		}
	}
}
