package vip

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/rtnl"
)

// Whose an address is, also on kernels that keep no marks: those show 0.
func TestOurs(t *testing.T) {
	tests := []struct {
		what         string
		lifetime     time.Duration
		addr         netip.Prefix
		mark         uint8
		left         uint32
		placed, want bool
	}{
		{"marked", 0, vip4, addrMark, 2, true, true},
		{"marked, from a process before", 0, vip4, addrMark, 3600, false, true},
		{"marked, of another virtual host", 0, other, addrMark, 2, false, false},
		{"marked, removed from the set", 0, other, addrMark, 2, true, true},
		{"foreign", 0, vip4, 0, 0, false, false},
		{"foreign where ours was", 0, vip4, 0, 0, true, false},
		{"of another routing daemon", 0, vip4, 18, 2, true, false},
		{"no marks: ours", 0, vip4, 0, 1, true, true},
		{"no marks: too long a life", 0, vip4, 0, 100, true, false},
		{"no marks: ours for ever", Forever, vip4, 0, 0, true, true},
		{"no marks: short-lived one", Forever, vip4, 0, 2, true, false},
	}
	for _, tt := range tests {
		a := &Applier{cfg: Config{Lifetime: tt.lifetime}, want: []netip.Prefix{vip4}, placed: make(map[netip.Addr]bool)}
		if tt.placed {
			a.placed[tt.addr.Addr()] = true
		}
		if got := a.ours(rtnl.Addr{Prefix: tt.addr, Proto: tt.mark, Lifetime: tt.left}); got != tt.want {
			t.Errorf("%s: ours is %t", tt.what, got)
		}
	}
}
