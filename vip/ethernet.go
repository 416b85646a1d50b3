package vip

import (
	"github.com/mdlayher/ethernet"
)

// The Ethernet types of the frames of this package.
const (
	etherTypeARP  = uint16(ethernet.EtherTypeARP)
	etherTypeIPv6 = uint16(ethernet.EtherTypeIPv6)
)

// frame puts payload in an Ethernet frame, padded to the minimum of 60 octets.
func frame(dst, src HardwareAddr, etherType uint16, payload []byte) ([]byte, error) {
	f := ethernet.Frame{Destination: dst[:], Source: src[:], EtherType: ethernet.EtherType(etherType), Payload: payload}
	return f.MarshalBinary()
}

// unframe takes a frame apart. VLAN tags are skipped.
func unframe(b []byte) (dst, src HardwareAddr, etherType uint16, payload []byte, ok bool) {
	var f ethernet.Frame // a new one each time: a reused Frame keeps old VLAN tags
	if err := f.UnmarshalBinary(b); err != nil {
		return dst, src, 0, nil, false
	}
	return HardwareAddr(f.Destination), HardwareAddr(f.Source), uint16(f.EtherType), f.Payload, true
}
