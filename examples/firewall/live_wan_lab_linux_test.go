package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/netns"
)

const (
	sharedMAC   = "02:00:5e:00:53:01"
	wanInternet = "192.0.2.9"  // the server, which has the only DHCP lease for
	wanLease    = "192.0.2.50" // this address
)

// udhcpcScript is what a client does with its lease. That of the system would change
// the name servers of the machine that runs the tests.
const udhcpcScript = `#!/bin/sh
case $1 in
bound|renew)
	ip addr replace $ip/$mask dev $interface
	ip route replace default via $router dev $interface ;;
deconfig)
	ip -4 addr flush dev $interface ;;
esac
`

// A wanPair is a pair with one address for both on the WAN, which a DHCP server gives
// them, and with a channel between them.
type wanPair struct {
	*pair
	fw1, fw2 *daemon
	dnsmasq  *exec.Cmd
	log      *syncBuffer // of the DHCP server
	runDir   string      // of the files of both
	frames   *frameLog
	links    *linkWatch
}

// A syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newWANPair starts both, and waits until fw1 has the lease. What [wan] has in addition
// is in more, what the DHCP server is told in addition in words.
func newWANPair(t *testing.T, client, more string, words ...string) *wanPair {
	t.Helper()
	netns.Require(t, "dnsmasq", "udhcpc")
	p := &wanPair{pair: newPair(t), log: &syncBuffer{}, runDir: t.TempDir()}
	p.env = append(p.env, runDirEnv+"="+p.runDir)
	server := p.lab.NS("server")
	if len(words) > 0 {
		p.router()
	}
	p.dnsmasq = exec.Command("dnsmasq", append(words, "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=em2", "--bind-interfaces",
		"--except-interface=lo", "--user=root", "--pid-file=", "--dhcp-leasefile="+filepath.Join(t.TempDir(), "leases"), "--log-dhcp", "--no-ping",
		"--dhcp-authoritative", "--dhcp-range="+wanLease+","+wanLease+",255.255.255.0,1h", "--dhcp-option=3,"+wanInternet)...)
	p.dnsmasq.Stdout, p.dnsmasq.Stderr = p.log, p.log
	server.Start(p.dnsmasq)
	p.lab.NS("client").IP("route add default via " + lanAddr)
	for host, last := range map[string]string{"fw1": "1", "fw2": "2"} {
		ns := p.lab.NS(host)
		ns.IP("addr flush dev em2")
		ns.Run("nft", "add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; add rule ip nat post oif em2 masquerade")
		peer := "10.10.10." + map[string]string{"1": "2", "2": "1"}[last]
		skew := map[string]string{"1": "", "2": "advskew 128\n"}[last]
		script := filepath.Join(p.dirs[host], "lease.sh")
		p.write(host, map[string]string{
			"hostname.carp1":   faqFile(t, "hostname.carp1") + skew,
			"hostname.pfsync0": faqFile(t, "hostname.pfsync0"), "sysctl.conf": faqFile(t, "sysctl.conf"),
			"peer.key": "a secret of both hosts\n", "lease.sh": udhcpcScript,
			settingsFile: "[peer]\naddress = \"" + peer + "\"\nsecret-file = \"peer.key\"\n" +
				"[wan]\ninterface = \"em2\"\nlladdr = \"" + sharedMAC + "\"\n" + strings.ReplaceAll(client, "SCRIPT", script) + "\n" + more,
		})
	}
	p.frames = p.watchFrames()
	p.fw1 = p.start("fw1")
	p.fw2 = p.start("fw2")
	p.links = p.watchLinks() // the lab had them up, with addresses of their own
	p.settled("fw1")
	p.awaitWAN("at first", "fw1")
	p.frames.begin("fw1")
	return p
}

const udhcpcLine = `client = ["udhcpc", "-f", "-i", "%i", "-s", "SCRIPT", "-t", "10", "-T", "1", "-A", "1"]`

// awaitWAN waits until a firewall has the address, and the other one is down.
func (p *wanPair) awaitWAN(what, host string) {
	p.t.Helper()
	p.awaitHolders(what, wanLease, host)
	p.await(what+": the WAN is up on "+host+" only", func() bool {
		for _, h := range []string{"fw1", "fw2"} {
			l, err := p.rtnl[h].LinkByName("em2")
			if err != nil || l.AdminUp != (h == host) {
				return false
			}
		}
		return true
	})
}

// A frameLog is which port of the WAN's switch the shared hardware address came in by.
type frameLog struct {
	mu   sync.Mutex
	runs []string       // fw1, fw2, ... whenever it was another one
	v6   map[string]int // how many of them were IPv6, by port
	odd  []string       // ports that other hardware addresses came in by
	n    atomic.Int64
}

// begin forgets how they became what they are: the first to start may be master for a
// moment.
func (f *frameLog) begin(host string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs, f.odd = []string{host}, nil
}

func (f *frameLog) ports() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.runs)
}

// watchFrames listens at both ports, by one socket: what it receives is in order.
func (p *wanPair) watchFrames() *frameLog {
	p.t.Helper()
	f := &frameLog{v6: make(map[string]int)}
	mac, _ := net.ParseMAC(sharedMAC)
	ports := make(map[int]string)
	var fd int
	p.lab.Switch().Do(func() {
		for _, host := range []string{"fw1", "fw2"} {
			i, err := net.InterfaceByName(p.lab.Port("em2", host))
			if err != nil {
				p.t.Fatal(err)
			}
			ports[i.Index] = host
		}
		var err error
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}))); err != nil {
			p.t.Fatal(err)
		}
	})
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer unix.Close(fd)
		b := make([]byte, 2048)
		for {
			select {
			case <-done:
				return
			default:
			}
			n, from, err := unix.Recvfrom(fd, b, 0)
			ll, ok := from.(*unix.SockaddrLinklayer)
			if err != nil || !ok || n < 14 || ll.Pkttype == unix.PACKET_OUTGOING {
				continue
			}
			host, ok := ports[ll.Ifindex]
			if !ok {
				continue
			}
			f.mu.Lock()
			if string(b[6:12]) != string(mac) {
				f.odd = append(f.odd, fmt.Sprintf("%s: %x", host, b[:n]))
			} else {
				f.n.Add(1)
				if binary.BigEndian.Uint16(b[12:]) == unix.ETH_P_IPV6 {
					f.v6[host]++
				}
				if len(f.runs) == 0 || f.runs[len(f.runs)-1] != host {
					f.runs = append(f.runs, host)
				}
			}
			f.mu.Unlock()
		}
	}()
	p.t.Cleanup(func() { close(done); <-ended })
	return f
}

// A linkWatch looks at both interfaces all the time.
type linkWatch struct {
	both, looks atomic.Int64
}

func (p *wanPair) watchLinks() *linkWatch {
	w := &linkWatch{}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
			a, err1 := p.rtnl["fw1"].LinkByName("em2")
			b, err2 := p.rtnl["fw2"].LinkByName("em2")
			if err1 != nil || err2 != nil {
				continue
			}
			// The first may have gone down before the second came up: look again.
			if a.AdminUp && b.AdminUp {
				if a, err1 = p.rtnl["fw1"].LinkByName("em2"); err1 == nil && a.AdminUp {
					w.both.Add(1)
				}
			}
			w.looks.Add(1)
		}
	}()
	p.t.Cleanup(func() { close(done); <-ended })
	return w
}

// neverBoth is what all of this is for: the shared address moved as often as it had to,
// from fw1 on, and nobody ever saw both.
func (p *wanPair) neverBoth(moves int) {
	p.t.Helper()
	want := []string{"fw1"}
	for i := range moves {
		want = append(want, []string{"fw2", "fw1"}[i%2])
	}
	if got := p.frames.ports(); !slices.Equal(got, want) {
		p.t.Errorf("frames from %s came from %v, want %v", sharedMAC, got, want)
	}
	p.frames.mu.Lock()
	odd := slices.Clone(p.frames.odd)
	p.frames.mu.Unlock()
	if len(odd) > 0 {
		p.t.Errorf("frames from other addresses: %q", odd)
	}
	if n := p.links.both.Load(); n > 0 {
		p.t.Errorf("both interfaces were up at %d of %d looks", n, p.links.looks.Load())
	}
	p.t.Logf("%d frames from the shared address, %d looks at both interfaces", p.frames.n.Load(), p.links.looks.Load())
}

// A probe asks the server from the client, by way of the firewalls, and measures.
type probe struct {
	mu   sync.Mutex
	last time.Time
	gap  time.Duration // the longest without an answer
}

// probeEvery is how exact a probe is.
const probeEvery = 5 * time.Millisecond

func (p *wanPair) startProbe() *probe {
	p.t.Helper()
	var echo, ask net.PacketConn
	var err error
	p.lab.NS("server").Do(func() { echo, err = net.ListenPacket("udp4", wanInternet+":7") })
	if err == nil {
		p.lab.NS("client").Do(func() { ask, err = net.ListenPacket("udp4", "172.16.0.9:0") })
	}
	if err != nil {
		p.t.Fatal(err)
	}
	go func() {
		b := make([]byte, 64)
		for {
			n, from, err := echo.ReadFrom(b)
			if err != nil {
				return
			}
			echo.WriteTo(b[:n], from)
		}
	}()
	pr := &probe{}
	go func() {
		b := make([]byte, 64)
		for {
			if _, _, err := ask.ReadFrom(b); err != nil {
				return
			}
			pr.mu.Lock()
			now := time.Now()
			if !pr.last.IsZero() {
				pr.gap = max(pr.gap, now.Sub(pr.last))
			}
			pr.last = now
			pr.mu.Unlock()
		}
	}()
	done := make(chan struct{})
	go func() {
		to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(wanInternet + ":7"))
		for {
			select {
			case <-done:
				return
			case <-time.After(probeEvery):
				ask.WriteTo([]byte("probe"), to)
			}
		}
	}()
	p.t.Cleanup(func() { close(done); echo.Close(); ask.Close() })
	return pr
}

// outage is the longest time without an answer since the last call, once there are
// answers again.
func (p *wanPair) outage(pr *probe, what string) time.Duration {
	p.t.Helper()
	since := time.Now()
	p.await(what+": answers from the server", func() bool {
		pr.mu.Lock()
		defer pr.mu.Unlock()
		return pr.last.After(since)
	})
	pr.mu.Lock()
	defer pr.mu.Unlock()
	gap := pr.gap
	pr.gap = 0
	return gap
}
