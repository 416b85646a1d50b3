package carp

import "testing"

// A virtual MAC set by hand is hashed unless it is the parent's or the one that
// is used anyway: the rows of spec section 2.5.
func TestHashedLLAddr(t *testing.T) {
	byHand, parent := HardwareAddr{2, 0x11, 0x22, 0x33, 0x44, 0x55}, HardwareAddr{0x52, 0x54, 0, 0xb, 1, 0}
	for _, test := range []struct {
		name         string
		lladdr, want HardwareAddr
	}{
		{"none", HardwareAddr{}, HardwareAddr{}},
		{"by hand", byHand, byHand},
		{"the parent's", parent, HardwareAddr{}},
		{"the computed one", OpenBSD.VirtualMAC(7), HardwareAddr{}},
		{"that of another vhid", OpenBSD.VirtualMAC(8), OpenBSD.VirtualMAC(8)},
	} {
		c := HostConfig{Config: Config{VHID: 7}, LLAddr: test.lladdr, ParentLLAddr: parent}
		if got := c.hashedLLAddr(); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
