package fuzz

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// FuzzConfig makes virtual hosts of whatever somebody may write into a file, and
// changes them into each other while they run. What Validate accepts must work,
// and what it does not must not be taken.
func FuzzConfig(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		r := tape(in)
		c := hostConfig(&r)
		v := makeHost(t, c)
		if v == nil {
			return
		}
		now := start
		send := func(out carp.Output) { sendAll(t, v, now, out) }
		send(v.Step(now, carp.Event{Kind: carp.EventUp}))
		for range 3 {
			if out := v.Step(now, carp.Event{Kind: carp.EventTimer}); !out.Deadline.IsZero() {
				now = out.Deadline
			}
			send(v.Step(now, carp.Event{Kind: carp.EventTimer}))
		}
		if want := carp.Master; len(c.Addresses) > 0 && v.Machine().State() != want {
			t.Fatalf("%+v: %v, though nobody else is there", c, v.Machine().State())
		}
		for !r.done() {
			next := hostConfig(&r)
			if r.bit() {
				next.VHID, next.Dialect = c.VHID, c.Dialect
			}
			legal := next.Validate() == nil && next.VHID == c.VHID && next.Dialect == c.Dialect
			before, acted := *v.Machine(), false
			err := v.Reconfigure(now, next, func(out carp.Output) { acted = true; send(out) })
			if (err == nil) != legal || err != nil && (acted || *v.Machine() != before) {
				t.Fatalf("from %+v to %+v: %v, acted %v", c, next, err, acted)
			}
			send(v.Step(now, carp.Event{Kind: carp.EventForce, Force: carp.Master}))
		}
	})
}

// makeHost makes a virtual host of c, none if c is not valid.
func makeHost(t *testing.T, c carp.HostConfig) *carp.VirtualHost {
	bad := c.Validate()
	v, err := carp.NewVirtualHost(c)
	if bad == nil && err == nil {
		return v
	}
	if bad == nil || err == nil || err.Error() != bad.Error() {
		t.Fatalf("%+v: Validate says %v, NewVirtualHost %v", c, bad, err)
	}
	for line := range strings.Lines(bad.Error()) {
		if !strings.HasPrefix(line, "carp: ") || strings.Count(line, "carp: ") > 1 {
			t.Fatalf("an error without its prefix, or with two: %q", line)
		}
	}
	return nil
}

// sendAll sends what the machine wants sent, and wants it to be decodable.
func sendAll(t *testing.T, v *carp.VirtualHost, now time.Time, out carp.Output) {
	if !out.Send {
		return
	}
	for _, p := range v.AppendPackets(nil, now, out.Advert) {
		if err := headerError(p.Data); err != nil || p.TTL != 255 || !p.Dst.IsValid() || p.Data[1] == 0 {
			t.Fatalf("%+v: %v", p, err)
		}
	}
}

// hostConfig is a configuration that may well be wrong.
func hostConfig(in *tape) carp.HostConfig {
	odd := in.u8() // which of the rarer fields are set
	c := carp.HostConfig{Config: carp.Config{
		VHID: in.u8(), AdvBase: in.i16(), AdvSkew: in.u8(), Dialect: carp.Dialect(in.u8()), Preempt: odd&1 != 0,
	}}
	if odd&2 != 0 {
		c.DeadRatio, c.Linger, c.Seed = in.i16(), time.Duration(in.u64()), in.u64()
	}
	if odd&4 != 0 {
		c.Replay, c.ReplayWindow, c.Counter = carp.ReplayPolicy(in.u8()), time.Duration(in.u64()), in.u64()
	}
	if odd&8 != 0 {
		copy(c.Secret[:], in.bytes(20))
		copy(c.LLAddr[:], in.bytes(6))
		copy(c.LinkSrc[:], in.bytes(6))
	}
	for range in.u8() % 4 {
		c.Addresses = append(c.Addresses, netip.PrefixFrom(in.addr(), int(int8(in.u8()))))
	}
	if odd&16 != 0 {
		c.Peers = []netip.Addr{in.addr(), in.addr()}
		c.Source = []netip.Addr{in.addr()}
		c.Allow = []netip.Prefix{netip.PrefixFrom(in.addr(), int(int8(in.u8())))}
	}
	return c
}
