package vip_test

import (
	"fmt"
	"net/netip"

	"github.com/gocarp/gocarp/vip"
)

// A master that hears another machine claim its address announces it again, at
// a bounded rate.
func ExampleParseClaim() {
	ours := vip.HardwareAddr{0x00, 0x00, 0x5e, 0x00, 0x01, 0x01}
	theirs := vip.HardwareAddr{0x02, 0x00, 0x00, 0x00, 0x00, 0x66}
	frame, err := vip.GratuitousARP(vip.ARPRequest, theirs, netip.MustParseAddr("192.0.2.1"))
	if err != nil {
		fmt.Println(err)
		return
	}
	claim, ok := vip.ParseClaim(frame)
	fmt.Println(ok, claim.Addr, "is at", claim.MAC)
	fmt.Println("foreign:", claim.Foreign(ours), "harmful:", claim.Harmful(ours))
	// Output:
	// true 192.0.2.1 is at 02:00:00:00:00:66
	// foreign: true harmful: true
}
