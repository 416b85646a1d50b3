package vip

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/rtnl"
	"github.com/mdlayher/packet"
)

// helperEnv makes this test binary a process that holds addresses until it is
// killed. Its value is the mode, the lifetime, and whether it is silent.
const helperEnv = "VIP_TEST_HOLD"

func TestMain(m *testing.M) {
	if how := os.Getenv(helperEnv); how != "" {
		if err := hold(how); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	// These tests mostly wait, so there can be more of them at a time than processors.
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		flag.Set("test.parallel", "6")
	}
	os.Exit(m.Run())
}

func hold(how string) error {
	var mode Mode
	var lifetime time.Duration
	var silent bool
	if _, err := fmt.Sscanf(how, "%d %d %t", &mode, &lifetime, &silent); err != nil {
		return err
	}
	cfg := config(mode)
	cfg.Lifetime = lifetime
	a, err := Open(cfg)
	if err != nil {
		return err
	}
	if err := a.Acquire(context.Background()); err != nil {
		return err
	}
	if silent {
		if err := a.Silence(); err != nil {
			return err
		}
	}
	fmt.Println("held")
	return a.Run(context.Background())
}

// startHolder runs hold in a namespace and returns when the addresses are on.
func startHolder(t *testing.T, ns *netns.NS, mode Mode, lifetime time.Duration, silent bool) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %t", helperEnv, mode, lifetime, silent))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	ns.Start(cmd)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the helper process says %q, %v", line, err)
	}
	return cmd
}

var (
	vip4  = netip.MustParsePrefix("192.0.2.1/32")
	vip6  = netip.MustParsePrefix("2001:db8::1/128")
	other = netip.MustParsePrefix("198.51.100.1/32") // outside of the subnet
	vmac  = HardwareAddr{0, 0, 0x5e, 0, 1, 7}
)

// config is a Config for both families.
func config(mode Mode) Config {
	return Config{Interface: "lan", Addresses: []netip.Prefix{vip4, vip6, other}, Mode: mode, MAC: vmac}
}

// A bench is a firewall and a client on one segment.
type bench struct {
	t          *testing.T
	lab        *netns.Lab
	fw, client *netns.NS
}

func newBench(t *testing.T) *bench {
	t.Helper()
	lab := netns.New(t, "fw", "client")
	lab.Bridge("lan", "fw", "client")
	b := &bench{t: t, lab: lab, fw: lab.NS("fw"), client: lab.NS("client")}
	b.fw.Addr("lan", "192.0.2.11/24", "2001:db8::11/64")
	b.client.Addr("lan", "192.0.2.99/24", "2001:db8::99/64")
	b.client.IP("route add 198.51.100.0/24 dev lan")
	return b
}

// open opens an Applier on the firewall and closes it when the test ends.
func (b *bench) open(cfg Config) *Applier {
	b.t.Helper()
	a, err := b.tryOpen(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := a.Close(); err != nil {
			b.t.Errorf("Close: %v", err)
		}
	})
	return a
}

func (b *bench) tryOpen(cfg Config) (a *Applier, err error) {
	b.t.Helper()
	b.fw.Do(func() { a, err = Open(cfg) })
	return a, err
}

// run has a.Run running until stop is called or the test ends.
func (b *bench) run(a *Applier) (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			b.t.Errorf("Run ended with %v", err)
		}
	})
	b.t.Cleanup(stop)
	return stop
}

func (b *bench) acquire(a *Applier) {
	b.t.Helper()
	if err := a.Acquire(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// addrs is what is on an interface of the firewall, without link-local
// addresses, as "address/length mark"; nil if there is no such interface.
func (b *bench) addrs(ifname string) []string {
	b.t.Helper()
	var c *rtnl.Conn
	var err error
	b.fw.Do(func() { c, err = rtnl.Dial() })
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	l, err := c.LinkByName(ifname)
	if errors.Is(err, rtnl.ErrNoLink) {
		return nil
	}
	have, err := c.Addrs(l.Index)
	if err != nil {
		b.t.Fatal(err)
	}
	out := []string{}
	for _, a := range have {
		if !a.Prefix.Addr().IsLinkLocalUnicast() {
			out = append(out, fmt.Sprintf("%v %d", a.Prefix, a.Proto))
		}
	}
	slices.Sort(out)
	return out
}

// What the interface of the firewall has without and with the shared addresses.
var (
	own  = []string{"192.0.2.11/24 0", "2001:db8::11/64 0"}
	held = []string{"192.0.2.1/32 112", "198.51.100.1/32 112", "2001:db8::1/128 112"}
	both = slices.Sorted(slices.Values(append(slices.Clone(own), held...)))
)

// modes are all modes, with the link that they put the addresses on and what that
// has without and with them.
var modes = []struct {
	mode       Mode
	link       string
	free, held []string
}{
	{RealMAC, "lan", own, both},
	{VirtualMAC, "lan-07", []string{}, held},
	{RewrittenMAC, "lan", own, both},
}

func (b *bench) wantAddrs(what, ifname string, want []string) {
	b.t.Helper()
	if got := b.addrs(ifname); !slices.Equal(got, want) {
		b.t.Errorf("%s: %s has\n%s\nwant\n%s", what, ifname, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// awaitAddrs waits until the interface has these addresses and returns how long it took.
func (b *bench) awaitAddrs(what, ifname string, want []string) time.Duration {
	b.t.Helper()
	start := time.Now()
	for time.Since(start) < 5*time.Second {
		if slices.Equal(b.addrs(ifname), want) {
			return time.Since(start)
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.wantAddrs(what+", after 5 s", ifname, want)
	return 5 * time.Second
}

// ping has the client ping all shared addresses.
func (b *bench) ping(what string) {
	b.t.Helper()
	for _, addr := range []netip.Prefix{vip4, other, vip6} {
		if _, err := b.client.Try("ping", "-c1", "-W2", addr.Addr().String()); err != nil {
			b.t.Errorf("%s: %v", what, err)
		}
	}
}

// tap receives all claims that reach a namespace by an interface of it.
func tap(t *testing.T, ns *netns.NS, ifname string) <-chan Claim {
	t.Helper()
	ch := make(chan Claim, 1000)
	for _, etherType := range []uint16{etherTypeARP, etherTypeIPv6} {
		conn := openPacket(t, ns, ifname, etherType)
		go func() {
			buf := make([]byte, 2048)
			for {
				n, _, err := conn.ReadFrom(buf)
				if err != nil {
					return
				}
				if c, ok := ParseClaim(buf[:n]); ok {
					ch <- c
				}
			}
		}()
	}
	return ch
}

// inject sends frames from an interface of a namespace.
func inject(t *testing.T, ns *netns.NS, ifname string, frames ...[]byte) {
	t.Helper()
	conn := openPacket(t, ns, ifname, 0)
	for _, f := range frames {
		if _, err := conn.WriteTo(f, &packet.Addr{HardwareAddr: f[:6]}); err != nil {
			t.Fatal(err)
		}
	}
}

func openPacket(t *testing.T, ns *netns.NS, ifname string, etherType uint16) *packet.Conn {
	t.Helper()
	var conn *packet.Conn
	var err error
	ns.Do(func() {
		var ifi *net.Interface
		if ifi, err = net.InterfaceByName(ifname); err == nil {
			conn, err = packet.Listen(ifi, packet.Raw, int(etherType), nil)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// collect returns what comes within d.
func collect(ch <-chan Claim, d time.Duration) []Claim {
	var out []Claim
	for timeout := time.After(d); ; {
		select {
		case c := <-ch:
			out = append(out, c)
		case <-timeout:
			return out
		}
	}
}
