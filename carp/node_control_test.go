package carp_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

// peers sends unicast.
func peers(addrs ...string) func(*carp.NodeConfig, *carp.GroupConfig) {
	return func(_ *carp.NodeConfig, g *carp.GroupConfig) {
		g.Peers = nil
		for _, a := range addrs {
			g.Peers = append(g.Peers, netip.MustParseAddr(a))
		}
	}
}

func TestNodeDownUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.skip(3500 * time.Millisecond)
		a.do(a.Down(1))
		a.do(a.Down(1))
		w.want("bows out once", "a advert 255/255")
		w.sleep(1010 * time.Millisecond)
		w.want("leaves", "a release", "a MASTER -> INIT (left without a successor)")
		a.do(a.Down(1))
		w.sleep(time.Minute)
		w.want("stays down")
		a.do(a.Up(1))
		a.do(a.Up(1))
		w.want("listens", "a INIT -> BACKUP (up and running)")

		w.skip(3500 * time.Millisecond)
		a.do(a.Down(1))
		a.do(a.Up(1))
		w.want("that changed its mind listens, having said goodbye",
			"a advert 255/255", "a release", "a MASTER -> BACKUP (up and running)")
	})
}

func TestNodeStartsDown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Down = true })
		w.sleep(time.Minute)
		w.want("waits")
		a.do(a.Up(1))
		a.want("listens", carp.Backup)
	})
}

func TestNodeForce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.want("starts", "a INIT -> BACKUP (up and running)")
		a.do(a.Force(1, carp.Master))
		w.want("is master at once", "a acquire", "a advert 1/0", "a announce", "a BACKUP -> MASTER (forced)")
		a.do(a.Force(1, carp.Init))
		w.want("cannot be forced to INIT")
		a.do(a.Force(1, carp.Backup))
		w.want("is backup at once, without a bow-out", "a release", "a MASTER -> BACKUP (forced)")
		if err := a.Force(1, 7); err == nil {
			t.Error("state 7 was taken")
		}
	})
}

func TestNodeAddRemove(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.skip(3500 * time.Millisecond)
		addrs := &carptest.Addrs{Name: "a2", Journal: w.journal}
		second := carp.GroupConfig{HostConfig: host(), Addrs: addrs}
		second.VHID = 2
		a.do(a.Add(second))
		if err := a.Add(second); !errors.Is(err, carp.ErrExists) {
			t.Errorf("a second vhid 2: %v, want ErrExists", err)
		}
		if err := a.Add(carp.GroupConfig{}); err == nil {
			t.Error("vhid 0 was taken")
		}
		w.skip(3500 * time.Millisecond)
		a.wantVHID(2, "runs what was added", carp.Master)
		if got := len(a.Status().Groups); got != 2 {
			t.Errorf("%d groups, want 2", got)
		}
		a.do(a.Remove(2))
		w.want("bows out and lets go at once", "a advert 255/255", "a2 release", "a MASTER -> INIT (taken down)")
		if got := len(a.Status().Groups); got != 1 {
			t.Errorf("%d groups, want 1", got)
		}
		if err := a.Remove(2); !errors.Is(err, carp.ErrNotFound) {
			t.Errorf("removed twice: %v, want ErrNotFound", err)
		}
		a.do(a.Add(second))
		w.skip(3500 * time.Millisecond)
		a.wantVHID(2, "runs what was added again", carp.Master)

		// In the middle of lingering, and of an overlap.
		a.do(a.Down(2))
		a.do(a.Remove(2))
		w.want("removed while lingering", "a advert 255/255", "a2 release", "a MASTER -> INIT (left without a successor)")
		p := w.peer("p", host())
		p.advertise(1, 0, 0)
		synctest.Wait()
		a.do(a.Remove(1))
		w.want("removed during the overlap", "p advert 1/0", "a release",
			"a MASTER -> BACKUP (heard an equal master)", "a BACKUP -> INIT (taken down)")
	})
}

func TestNodeCallsAfterTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.skip(3500 * time.Millisecond)
		a.cancel()
		synctest.Wait() // lingering
		for name, call := range map[string]func() error{
			"Up":  func() error { return a.Up(1) },
			"Add": func() error { return a.Add(carp.GroupConfig{HostConfig: host()}) },
		} {
			if err := call(); !errors.Is(err, carp.ErrStopped) {
				t.Errorf("%s while the node stops: %v, want ErrStopped", name, err)
			}
		}
		w.journal.Take()
		a.do(a.SetAllow(false)) // changes nothing about its leaving
		<-a.ended
		for name, call := range map[string]func() error{
			"Up":       func() error { return a.Up(1) },
			"Down":     func() error { return a.Down(1) },
			"Force":    func() error { return a.Force(1, carp.Backup) },
			"Add":      func() error { return a.Add(carp.GroupConfig{HostConfig: host()}) },
			"Remove":   func() error { return a.Remove(1) },
			"SetAllow": func() error { return a.SetAllow(true) },
			"Update":   func() error { return a.Update(1, func(*carp.GroupConfig) {}) },
		} {
			if err := call(); !errors.Is(err, carp.ErrStopped) {
				t.Errorf("%s after the end: %v, want ErrStopped", name, err)
			}
		}
		if s := a.group(1); s.State != carp.Init || s.Held {
			t.Errorf("status after the end %+v: want INIT and nothing held", s)
		}
	})
}

func TestNodeCallsForUnknownGroups(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		for name, call := range map[string]func() error{
			"Up":     func() error { return a.Up(9) },
			"Down":   func() error { return a.Down(9) },
			"Force":  func() error { return a.Force(9, carp.Backup) },
			"Update": func() error { return a.Update(9, func(*carp.GroupConfig) {}) },
		} {
			if err := call(); !errors.Is(err, carp.ErrNotFound) || !strings.Contains(err.Error(), "9@em0") {
				t.Errorf("%s: %v, want ErrNotFound for 9@em0", name, err)
			}
		}
	})
}
