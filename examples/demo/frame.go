package main

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/vip"
)

// What travels here are Ethernet frames with IPv4 and ARP in them, as bytes.
// Those of ARP are made and read by package vip.

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

// ICMP's echo, which is what ping(8) sends and gets.
const (
	icmp        = 1 // IP protocol
	echoRequest = 8
	echoReply   = 0
	echoLen     = 8
)

// echo is an ICMP message of one of these types.
func echo(kind byte, seq int) []byte {
	b := make([]byte, echoLen)
	b[0] = kind
	binary.BigEndian.PutUint16(b[6:], uint16(seq))
	binary.BigEndian.PutUint16(b[2:], inet.Checksum(b))
	return b
}

// parseEcho is the number of an echo message of that type for addr.
func parseEcho(kind byte, addr netip.Addr, h inet.IP, b []byte) (seq int, ok bool) {
	if h.Dst != addr || h.Protocol != icmp || len(b) != echoLen || b[0] != kind || inet.Checksum(b) != 0 {
		return 0, false
	}
	return int(binary.BigEndian.Uint16(b[6:])), true
}
