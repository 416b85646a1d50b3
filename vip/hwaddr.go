package vip

import "fmt"

// A HardwareAddr is an Ethernet address as a comparable value.
type HardwareAddr [6]byte

// String is the colon-separated hex form.
func (a HardwareAddr) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5])
}
