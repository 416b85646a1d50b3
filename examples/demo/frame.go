package main

import (
	"encoding/binary"
	"slices"

	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/vip"
)

// What travels here are Ethernet frames with IPv4 and ARP in them, as bytes.
// Those of ARP are made and read by package vip; see transport.go for what is in
// the IP packets of the hosts.

// A mac is an Ethernet address.
type mac = vip.HardwareAddr

const (
	ethernetLen  = 14
	etherTypeIP  = 0x0800
	etherTypeARP = 0x0806
)

// carpGroup is where adverts go, 224.0.0.18 as an Ethernet address.
var carpGroup = mac{0x01, 0x00, 0x5e, 0x00, 0x00, 0x12}

// ipFrame is a frame with an IP packet in it.
func ipFrame(dst, src mac, h inet.IP, payload []byte) []byte {
	b := slices.Concat(dst[:], src[:], []byte{etherTypeIP >> 8, etherTypeIP & 0xff})
	return append(h.Append(b, len(payload)), payload...)
}

// parseIP takes an IP packet out of a frame. It reports false if there is none.
func parseIP(f []byte) (dst mac, h inet.IP, payload []byte, ok bool) {
	if etherType(f) != etherTypeIP {
		return mac{}, inet.IP{}, nil, false
	}
	h, payload, err := inet.ParseIP(f[ethernetLen:])
	return mac(f), h, payload, err == nil
}

// etherType is what a frame carries, 0 if it is too short to say.
func etherType(f []byte) uint16 {
	if len(f) < ethernetLen {
		return 0
	}
	return binary.BigEndian.Uint16(f[12:])
}
