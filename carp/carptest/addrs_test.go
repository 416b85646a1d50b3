package carptest_test

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

func TestAddrs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var journal carptest.Journal
		a := &carptest.Addrs{Name: "fw1", Journal: &journal}
		ctx := t.Context()
		prefixes := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}

		noRoom := errors.New("no room")
		a.FailAcquire(noRoom)
		if err := a.Acquire(ctx); err != noRoom || a.Held() {
			t.Errorf("acquire gave %v, held %v", err, a.Held())
		}
		if err := a.SetAddresses(ctx, prefixes); err != noRoom || len(a.Addresses()) != 0 {
			t.Errorf("set gave %v, and %v", err, a.Addresses())
		}
		a.FailAcquire(nil)
		start := time.Now()
		a.Slow(time.Second)
		if err := errors.Join(a.Acquire(ctx), a.Announce(ctx), a.SetAddresses(ctx, prefixes)); err != nil || !a.Held() {
			t.Errorf("error %v, held %v", err, a.Held())
		}
		if err := a.Release(ctx); err != nil || a.Held() {
			t.Errorf("release gave %v, held %v", err, a.Held())
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("four slow calls took %v, want 4s", took)
		}
		if n := a.Calls("acquire"); n != 2 {
			t.Errorf("acquired %d times, want 2", n)
		}
		if diff := cmp.Diff("10.0.0.1/24", a.Addresses()[0].String()); diff != "" {
			t.Error(diff)
		}

		h := carp.Header{VHID: 1, AdvBase: 1, AdvSkew: 2, Demote: 3}
		data, _ := h.MarshalBinary()
		journal.Packet(carptest.Record{From: "fw1", Packet: carp.Packet{Data: data}})
		journal.Packet(carptest.Record{From: "fw1", Packet: carp.Packet{Data: data[:9]}})
		journal.Hooks("fw1").StateChanged(carp.Change{From: carp.Init, To: carp.Backup, Reason: carp.ReasonUp})
		journal.Hooks("fw1").PacketDropped(carp.Packet{}, carp.ErrTTL)
		want := []string{
			"fw1 acquire: no room", "fw1 set: no room", "fw1 acquire", "fw1 announce", "fw1 set", "fw1 release",
			"fw1 advert 1/2 demote 3", "fw1 no advert", "fw1 INIT -> BACKUP (up and running)",
			"fw1 dropped: TTL is not 255: the packet was routed",
		}
		if n := len(journal.Entries()); n != len(want) {
			t.Errorf("%d entries, want %d", n, len(want))
		}
		if diff := cmp.Diff(want, journal.Take()); diff != "" {
			t.Errorf("journal (-want +got):\n%s", diff)
		}
		if left := journal.Take(); left != nil {
			t.Errorf("left in the journal: %q", left)
		}
	})
}
