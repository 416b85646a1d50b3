package pfsyncnet

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/nettest"
	"github.com/gocarp/gocarp/pfsync"
)

// On the wire there and back, nothing is allocated.
func TestAllocs(t *testing.T) {
	for name, group := range families {
		t.Run(name, func(t *testing.T) {
			a, b, _ := nettest.Pair(t)
			ca, cb := listen(t, a, Config{Group: group}), listen(t, b, Config{Group: group})
			send(t, ca, group, frame)
			payloads, packets := make([][]byte, batch), make([]pfsync.Packet, batch)
			for i := range payloads {
				payloads[i] = make([]byte, 1400)
			}
			var n float64
			for range 5 { // the count is the whole process's: those who follow the interfaces may still be at it
				n = testing.AllocsPerRun(200, func() {
					if _, err := ca.WritePackets(group, payloads); err != nil {
						t.Fatal(err)
					}
					if _, err := cb.ReadPackets(packets); err != nil {
						t.Fatal(err)
					}
				})
				if n == 0 {
					return
				}
			}
			t.Errorf("writing and reading %d packets allocates %v times", batch, n)
		})
	}
}

// lane is one way from a to b over a cable: a Conn or plain UDP.
type lane struct {
	name  string
	write func(packets int) // sends packets of 1400 octets
	read  func() int        // waits for packets, returns how many
}

func lanes(b *testing.B) []lane {
	lab := netns.New(b, "a", "b")
	from, to := lab.NS("a"), lab.NS("b")
	from.Veth("lan", to, "lan")
	from.Addr("lan", "192.0.2.1/24")
	to.Addr("lan", "192.0.2.2/24")
	fail := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	payloads := make([][]byte, batch)
	for i := range payloads {
		payloads[i] = make([]byte, 1400)
	}

	tx, rx := listen(b, from, Config{}), listen(b, to, Config{})
	packets := make([]pfsync.Packet, batch)
	for i := range packets {
		packets[i].Data = make([]byte, 1500)
	}
	conn := lane{"pfsync", func(n int) {
		for ; n > 0; n -= batch {
			_, err := tx.WritePackets(pfsync.Group4, payloads[:min(n, batch)])
			fail(err)
		}
	}, func() int {
		n, err := rx.ReadPackets(packets)
		fail(err)
		return n
	}}
	one := lane{"pfsync-1", func(n int) {
		for range n {
			_, err := tx.WritePackets(pfsync.Group4, payloads[:1])
			fail(err)
		}
	}, func() int {
		n, err := rx.ReadPackets(packets[:1])
		fail(err)
		return n
	}}

	var utx, urx *net.UDPConn
	var err error
	from.Do(func() { utx, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1)}) })
	fail(err)
	to.Do(func() { urx, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2)}) })
	fail(err)
	b.Cleanup(func() { utx.Close(); urx.Close() })
	fail(forceBuffer(urx))
	dst, buf := netip.MustParseAddrPort(urx.LocalAddr().String()), make([]byte, 1500)
	udp := lane{"udp", func(n int) {
		for range n {
			_, err := utx.WriteToUDPAddrPort(payloads[0], dst)
			fail(err)
		}
	}, func() int {
		_, _, err := urx.ReadFromUDPAddrPort(buf)
		fail(err)
		return 1
	}}
	return []lane{conn, one, udp}
}

// BenchmarkLanes sends and then reads 4096 packets of 1400 octets each way: by a
// Conn in batches, by a Conn one by one, and by UDP one by one. It takes turns with
// them, so that whatever else the machine does happens to all. Beside packets per
// second of the clock it reports UDP's processor time in multiples of ours. What
// the kernel does to deliver packets to the other end is part of the sending.
func BenchmarkLanes(b *testing.B) {
	ways := lanes(b)
	const packets = 4096
	type cost struct{ clock, cpu time.Duration }
	sending, reading := make([]cost, len(ways)), make([]cost, len(ways))
	measure := func(c *cost, f func()) {
		clock, cpu := time.Now(), processorTime()
		f()
		c.clock += time.Since(clock)
		c.cpu += processorTime() - cpu
	}
	for _, l := range ways { // finds the neighbour, grows what has to grow
		l.write(1)
		l.read()
	}
	var rounds int
	for b.Loop() {
		rounds++
		for i, l := range ways {
			measure(&sending[i], func() { l.write(packets) })
			measure(&reading[i], func() {
				for got := 0; got < packets; {
					got += l.read()
				}
			})
		}
	}
	for i, l := range ways {
		for what, costs := range map[string][]cost{"-sent": sending, "-read": reading} {
			b.ReportMetric(float64(rounds*packets)/costs[i].clock.Seconds(), l.name+what+"/s")
			b.ReportMetric(costs[len(ways)-1].cpu.Seconds()/costs[i].cpu.Seconds(), l.name+what+"/udp")
		}
	}
}

func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// forceBuffer gives a UDP socket what a Conn has.
func forceBuffer(c *net.UDPConn) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return rc.Control(func(fd uintptr) { setBuffer(int(fd), unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer) })
}
