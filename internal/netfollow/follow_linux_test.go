package netfollow

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gocarp/gocarp/internal/leak"
	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/nettest"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// follow follows an interface "lan" of ns.
func follow(t *testing.T, ns *netns.NS, log *slog.Logger, attach func(*Interface) error) *Follower[Link] {
	t.Helper()
	var w *Watcher
	var err error
	ns.Do(func() { w, err = Watch(Subject{Name: "lan", Log: log, Prefix: "test"}) })
	if err != nil {
		t.Fatal(err)
	}
	f, err := Follow(w, func(l Link) Link { return l }, attach)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}

func TestNoInterface(t *testing.T) {
	t.Parallel()
	var err error
	netns.New(t, "a").NS("a").Do(func() { _, err = Watch(Subject{Name: "lan"}) })
	if err != ErrNoInterface {
		t.Errorf("got %v, want %v", err, ErrNoInterface)
	}
}

// Whom a Follower cannot attach to at first is an error; the watch is closed.
func TestCannotAttachAtFirst(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	netns.New(t, "a").NS("a").Do(func() {
		w, err := Watch(Subject{Name: "lo"})
		if err != nil {
			t.Error(err)
			return
		}
		if f, err := Follow(w, func(l Link) Link { return l }, func(*Interface) error { return broken }); f != nil || err != broken {
			t.Errorf("got %v, %v", f, err)
		}
	})
}

func TestFollow(t *testing.T) {
	t.Parallel()
	lab := netns.New(t, "a", "b")
	a, b := lab.NS("a"), lab.NS("b")
	a.Veth("lan", b, "lan")
	a.IP("link set lan down")
	var attached, refused atomic.Int64
	var fail atomic.Bool
	var log bytes.Buffer
	f := follow(t, a, slog.New(slog.NewTextHandler(&log, nil)), func(i *Interface) error {
		if fail.Load() {
			refused.Add(1)
			return errors.New("broken")
		}
		attached.Store(int64(i.Index))
		return nil
	})
	is := func(what string, ok func(i *Interface) bool) {
		t.Helper()
		nettest.Eventually(t, what, func() bool { return ok(f.Now()) })
	}
	first := f.Now()
	if first.Index != nettest.Index(t, a, "lan") || first.Up || first.Link != LinkDown || first.MAC != a.MAC("lan") || attached.Load() != int64(first.Index) {
		t.Errorf("first look: %+v, attached to %d", first, attached.Load())
	}
	nettest.WantLink(t, f.Links(), "at first", LinkDown)
	a.IP("link set lan up")
	nettest.WantLink(t, f.Links(), "set up", LinkUp)
	nettest.Next(t, first.Changed(), "a newer one")
	b.IP("link set lan down")
	nettest.WantLink(t, f.Links(), "no carrier", LinkDown)
	is("up without a carrier", func(i *Interface) bool { return i.Up && i.Link == LinkDown })
	b.IP("link set lan up")
	nettest.WantLink(t, f.Links(), "carrier", LinkUp)

	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	a.Addr("lan", "192.0.2.1/24", "192.0.2.2/24")
	is("addresses in order", func(i *Interface) bool {
		return slices.Contains(i.Addrs, two) && slices.Index(i.Addrs, one) < slices.Index(i.Addrs, two)
	})
	a.IP("addr del 192.0.2.2/24 dev lan")
	is("one address", func(i *Interface) bool { return !slices.Contains(i.Addrs, two) && slices.Contains(i.Addrs, one) })

	a.IP("link set lan name other")
	is("renamed away", func(i *Interface) bool { return i.Index == 0 && i.Addrs == nil })
	a.IP("link set other name lan")
	is("renamed back, with its address", func(i *Interface) bool { return i.Index == first.Index && slices.Contains(i.Addrs, one) })

	// Another one of the name cannot be attached to, until something else happens to it.
	a.IP("link set lan name other")
	nettest.WantLink(t, f.Links(), "renamed away", LinkDown)
	fail.Store(true)
	a.Veth("lan", b, "lan2")
	second := nettest.Index(t, a, "lan")
	is("refused", func(i *Interface) bool { return refused.Load() > 0 && i.Index == 0 })
	fail.Store(false)
	a.IP("link set lan down")
	is("attached to the other one", func(i *Interface) bool { return i.Index == second && attached.Load() == int64(second) })

	// A slow reader gets the last of many changes.
	for range 5 {
		a.IP("link set lan down")
		a.IP("link set lan up")
	}
	a.IP("link set lan down")
	a.IP("link set lan name third") // tells the last change from those before
	is("all seen", func(i *Interface) bool { return i.Index == 0 })
	if l := <-f.Links(); l != LinkDown {
		t.Errorf("after many changes the link is %v", l)
	}
	select {
	case l := <-f.Links():
		t.Errorf("one more state: %v", l)
	default:
	}
	f.Stop()
	if want := fmt.Sprintf(`msg="test: cannot use the interface" interface=lan index=%d err=broken`, second); !strings.Contains(log.String(), want) {
		t.Errorf("logged %s, want %s", log.String(), want)
	}
}
