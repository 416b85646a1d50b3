package vip

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// An ARPForm is one of the two forms a gratuitous ARP comes in.
type ARPForm uint8

// The forms. Every host since RFC 826 updates the entry it has from the sender
// of a request; a few old stacks do so from replies only.
const (
	ARPRequest ARPForm = 1 + iota
	ARPReply
)

// An ARP packet for IPv4 on Ethernet, RFC 826:
//
//	 0  hardware type 1, protocol type 0x0800
//	 4  hardware length 6, protocol length 4
//	 6  operation: 1 request, 2 reply
//	 8  sender hardware address, 14 sender protocol address
//	18  target hardware address, 24 target protocol address
const arpLen = 28

var broadcast = HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// GratuitousARP returns the Ethernet frame that tells a segment that addr is
// found at mac: a broadcast with addr as both sender and target. mac is the
// Ethernet source, too, which moves the entry in the switches' tables.
//
// The request has a zero target hardware address, as that of OpenBSD and
// FreeBSD (carp_send_arp); the reply has mac there, RFC 5944 section 4.6.
func GratuitousARP(form ARPForm, mac HardwareAddr, addr netip.Addr) ([]byte, error) {
	if form != ARPRequest && form != ARPReply {
		return nil, fmt.Errorf("vip: gratuitous ARP of unknown form %d", form)
	}
	if !addr.Is4() {
		return nil, fmt.Errorf("vip: gratuitous ARP for %v, which is not an IPv4 address", addr)
	}
	b := make([]byte, 0, arpLen)
	b = append(b, 0, 1, 0x08, 0x00, 6, 4, 0, byte(form))
	b = append(b, mac[:]...)
	b = append(b, addr.AsSlice()...)
	var target HardwareAddr
	if form == ARPReply {
		target = mac
	}
	b = append(b, target[:]...)
	b = append(b, addr.AsSlice()...)
	return frame(broadcast, mac, etherTypeARP, b)
}

// parseARP returns the sender of an ARP packet. A probe has none and reports false.
func parseARP(b []byte) (addr netip.Addr, mac HardwareAddr, ok bool) {
	if len(b) < arpLen || binary.BigEndian.Uint64(b)>>16 != 0x0001_0800_0604 {
		return netip.Addr{}, HardwareAddr{}, false
	}
	if op := binary.BigEndian.Uint16(b[6:]); op != uint16(ARPRequest) && op != uint16(ARPReply) {
		return netip.Addr{}, HardwareAddr{}, false
	}
	addr = netip.AddrFrom4([4]byte(b[14:]))
	return addr, HardwareAddr(b[8:]), !addr.IsUnspecified()
}
