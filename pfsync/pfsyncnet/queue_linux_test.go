package pfsyncnet

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/nettest"
	"github.com/gocarp/gocarp/pfsync"
)

// Many packets in one call arrive in order, in whatever portions they are read, and
// in the buffers that they are read into.
func TestBatch(t *testing.T) {
	for name, group := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := nettest.Pair(t)
			ca, cb := listen(t, a, Config{Group: group}), listen(t, b, Config{Group: group})
			const packets = 3*batch + 7
			var payloads [][]byte
			for i := range packets {
				payloads = append(payloads, bytes.Repeat([]byte{byte(i)}, 20+i))
			}
			send(t, ca, group, payloads...)
			p := make([]pfsync.Packet, 100)
			rooms := make([]*byte, len(p))
			for i := range p {
				p[i].Data = make([]byte, 1500)
				rooms[i] = &p[i].Data[0]
			}
			for got, size := 0, 1; got < packets; size = size*3%101 + 1 {
				n, err := cb.ReadPackets(p[:min(size, len(p))])
				if err != nil || n < 1 || n > size {
					t.Fatalf("%d read, %v", n, err)
				}
				for i := range n {
					if !bytes.Equal(p[i].Data, payloads[got]) {
						t.Fatalf("packet %d is % x", got, p[i].Data)
					}
					if &p[i].Data[0] != rooms[i] {
						t.Fatalf("packet %d is not where it was to be read to", got)
					}
					got++
				}
			}
			send(t, ca, group, nil, frame)
			for _, want := range [][]byte{nil, frame} {
				if n, err := cb.ReadPackets(p[:1]); n != 1 || err != nil || !bytes.Equal(p[0].Data, want) {
					t.Errorf("%d read, % x, %v, want % x", n, p[0].Data, err, want)
				}
			}
			if n, err := ca.WritePackets(group, nil); n != 0 || err != nil {
				t.Errorf("sending nothing: %d, %v", n, err)
			}
			if n, err := cb.ReadPackets(nil); n != 0 || err != nil {
				t.Errorf("reading nothing: %d, %v", n, err)
			}
		})
	}
}

// What does not fit into the buffer is counted, and nothing else is missing.
func TestDropped(t *testing.T) {
	t.Parallel()
	a, b, _ := nettest.Pair(t)
	ca, cb := listen(t, a, Config{}), listen(t, b, Config{})
	payloads := make([][]byte, batch)
	for i := range payloads {
		payloads[i] = make([]byte, 1400)
	}
	var sent uint64
	for start := time.Now(); cb.Stats().Dropped == 0; sent += batch {
		send(t, ca, pfsync.Group4, payloads...)
		if time.Since(start) > 10*time.Second {
			t.Fatalf("nothing dropped of %d", sent)
		}
	}
	dropped := cb.Stats().Dropped
	in := read(t, cb)
	for range sent - dropped {
		nettest.Next(t, in, "that was not dropped")
	}
	nettest.None(t, in, "that was counted as dropped")
	// 16 MiB of a kernel that counts the memory around packets, too.
	if least := uint64(receiveBuffer / 2304); sent-dropped < least {
		t.Errorf("%d packets fitted, want %d at least", sent-dropped, least)
	}
}

// Peers that do not answer are no obstacle to those that do.
func TestDeadPeers(t *testing.T) {
	t.Parallel()
	a, b, _ := nettest.Pair(t)
	alive := addr("192.0.2.2")
	peers := []netip.Addr{alive, addr("192.0.2.66"), addr("192.0.2.67"), addr("192.0.2.68"), addr("192.0.2.69")}
	c := listen(t, a, Config{Peers: peers})
	in := read(t, listen(t, b, Config{Peers: []netip.Addr{addr("192.0.2.1")}}))
	deliver(t, c, alive, in)
	big := make([]byte, 1400)
	for range 200 {
		for _, dead := range peers[1:] {
			send(t, c, dead, big, big, big, big)
		}
		send(t, c, alive, frame)
		nettest.Next(t, in, "beside dead peers")
	}
}

// If there is no room even after a while, that is an error, and the next one comes
// at once. When there is room again, sending works.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	a, b, _ := nettest.Pair(t)
	a.SetSysctl("net.ipv4.neigh.lan.unres_qlen_bytes", "100000000")
	dead := addr("192.0.2.66")
	c := listen(t, a, Config{Peers: []netip.Addr{dead}})
	payloads := make([][]byte, 10000)
	for i := range payloads {
		payloads[i] = make([]byte, 1400)
	}
	start := time.Now()
	n, err := c.WritePackets(dead, payloads)
	took := time.Since(start)
	if !errors.Is(err, unix.ENOBUFS) || n == 0 || n == len(payloads) || took < sendWait || took > time.Second {
		t.Errorf("%d sent in %v, %v", n, took, err)
	}
	if want := "pfsyncnet: sending to 192.0.2.66 on lan: queue is full: no buffer space available"; err != nil && err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	start = time.Now()
	const again = 50
	for range again {
		if n, err := c.WritePackets(dead, payloads); n != 0 || err == nil {
			t.Errorf("%d sent into a full queue, %v", n, err)
		}
	}
	if took := time.Since(start); took > again*sendWait/2 {
		t.Errorf("%d times a full queue took %v", again, took)
	}

	b.Addr("lan", "192.0.2.66/24") // the dead wakes up, and is found by the next question
	in := read(t, listen(t, b, Config{}))
	for range n {
		nettest.Next(t, in, "that waited in the queue")
	}
	deliver(t, c, dead, in)
}

func TestFirewall(t *testing.T) {
	t.Parallel()
	a, b, _ := nettest.Pair(t)
	netns.Require(t, "nft")
	ca, in := listen(t, a, Config{}), read(t, listen(t, b, Config{}))
	deliver(t, ca, pfsync.Group4, in)
	nft := func(ns *netns.NS, hook string) {
		ns.Run("nft", "add table ip t; add chain ip t c { type filter hook "+hook+" priority 0 ; }; add rule ip t c ip protocol 240 drop")
	}
	nft(b, "input")
	send(t, ca, pfsync.Group4, frame)
	nettest.None(t, in, "refused at the input of b")
	nft(a, "output")
	n, err := ca.WritePackets(pfsync.Group4, [][]byte{frame})
	if n != 0 || !errors.Is(err, os.ErrPermission) || !strings.HasSuffix(err.Error(), "refused by the firewall") {
		t.Errorf("refused at the output of a: %d, %v", n, err)
	}
}

func TestClose(t *testing.T) {
	for name, group := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := nettest.Pair(t)
			flood, flooded := listen(t, b, Config{Group: group}), listen(t, a, Config{Group: group})
			a.Veth("quiet", b, "quiet")
			quiet := listen(t, a, Config{Interface: "quiet", Peers: []netip.Addr{addr("192.0.2.9")}})

			stop := make(chan struct{})
			go func() {
				for {
					select {
					case <-stop:
						return
					default:
						flood.WritePackets(group, [][]byte{frame, frame})
					}
				}
			}()
			defer close(stop)
			for name, c := range map[string]*Conn{"flooded": flooded, "quiet": quiet} {
				result, reading := make(chan error), make(chan struct{})
				go func() {
					close(reading)
					var err error
					for p := make([]pfsync.Packet, 4); err == nil; {
						_, err = c.ReadPackets(p)
					}
					result <- err
				}()
				<-reading
				time.Sleep(20 * time.Millisecond)
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				select {
				case err := <-result:
					if !errors.Is(err, net.ErrClosed) {
						t.Errorf("%s: a waiting read gave %v", name, err)
					}
				case <-time.After(time.Second):
					t.Fatalf("%s: Close does not end a read", name)
				}
				_, readErr := c.ReadPackets(make([]pfsync.Packet, 1))
				_, writeErr := c.WritePackets(c.Destinations()[0], [][]byte{frame})
				for _, err := range []error{readErr, writeErr} {
					want := fmt.Sprintf("pfsyncnet: %s: use of closed network connection", c.cfg.Interface)
					if !errors.Is(err, net.ErrClosed) || err.Error() != want {
						t.Errorf("%s: after Close: %v, want %s", name, err, want)
					}
				}
				if err := c.Close(); err != nil {
					t.Errorf("%s: a second Close: %v", name, err)
				}
				c.Stats() // works on
			}
		})
	}
}
