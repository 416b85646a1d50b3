package main

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/gocarp/gocarp/internal/pcap"
)

// A frame is a CARP or pfsync packet with what surrounds it, as far as it could
// be read.
type frame struct {
	srcMAC, dstMAC net.HardwareAddr // nil if the link has none
	vlan           []uint16         // outermost first
	ip
}

// A layer is what follows the link layer.
type layer int

const (
	layerOther layer = iota
	layerIPv4
	layerIPv6
	layerPfsync // a pfsync packet without an IP header
)

// find looks for a CARP or pfsync packet in p. It returns nil if there is none,
// and fails if it does not know the link type.
func find(p pcap.Packet) (*frame, error) {
	var f frame
	kind, b, err := f.link(p.LinkType, p.Data)
	if err != nil {
		return nil, err
	}
	ours := false
	switch kind {
	case layerIPv4:
		ours = f.ipv4(b)
	case layerIPv6:
		ours = f.ipv6(b)
	case layerPfsync:
		f.proto, f.payload, ours = protoPfsync, b, true
	}
	if !ours {
		return nil, nil
	}
	return &f, nil
}

// link reads the link layer of b and returns what is behind it.
func (f *frame) link(t pcap.LinkType, b []byte) (layer, []byte, error) {
	switch t {
	case pcap.LinkEthernet:
		if len(b) < 14 {
			return layerOther, nil, nil
		}
		f.dstMAC, f.srcMAC = net.HardwareAddr(b[:6]), net.HardwareAddr(b[6:12])
		kind, rest := f.etherType(binary.BigEndian.Uint16(b[12:]), b[14:])
		return kind, rest, nil

	case pcap.LinkLinuxSLL: // direction, ARPHRD, address length, address, EtherType
		if len(b) < 16 {
			return layerOther, nil, nil
		}
		if binary.BigEndian.Uint16(b[4:]) == 6 {
			f.srcMAC = net.HardwareAddr(b[6:12])
		}
		kind, rest := f.etherType(binary.BigEndian.Uint16(b[14:]), b[16:])
		return kind, rest, nil

	case pcap.LinkLinuxSLL2: // EtherType, unused, ifindex, ARPHRD, direction, address length, address
		if len(b) < 20 {
			return layerOther, nil, nil
		}
		if b[11] == 6 {
			f.srcMAC = net.HardwareAddr(b[12:18])
		}
		kind, rest := f.etherType(binary.BigEndian.Uint16(b), b[20:])
		return kind, rest, nil

	case pcap.LinkNull, pcap.LinkLoop: // the family differs from BSD to BSD: look at the packet
		if len(b) < 4 {
			return layerOther, nil, nil
		}
		return version(b[4:]), b[4:], nil

	case pcap.LinkRaw, pcap.LinkIPv4, pcap.LinkIPv6:
		return version(b), b, nil

	case pcap.LinkRaw12, pcap.LinkRaw14: // or loopback, which begins with a zero octet
		if kind := version(b); kind != layerOther || len(b) < 4 {
			return kind, b, nil
		}
		return version(b[4:]), b[4:], nil

	case pcap.LinkPfsync, pcap.LinkPfsync18: // newer OpenBSD keeps the IP header, others strip it
		if kind := version(b); kind != layerOther {
			return kind, b, nil
		}
		return layerPfsync, b, nil
	}
	return layerOther, nil, fmt.Errorf("link type %d is not supported", t)
}

// etherType looks behind any number of VLAN tags.
func (f *frame) etherType(kind uint16, b []byte) (layer, []byte) {
	for {
		switch kind {
		case 0x0800:
			return layerIPv4, b
		case 0x86dd:
			return layerIPv6, b
		case 0x8100, 0x88a8, 0x9100:
			if len(b) < 4 {
				return layerOther, nil
			}
			f.vlan = append(f.vlan, binary.BigEndian.Uint16(b)&0x0fff)
			kind, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		default:
			return layerOther, nil
		}
	}
}

// version tells IPv4 from IPv6 by the first octet of the packet.
func version(b []byte) layer {
	if len(b) > 0 {
		switch b[0] >> 4 {
		case 4:
			return layerIPv4
		case 6:
			return layerIPv6
		}
	}
	return layerOther
}
