package conntrack

import "net/netip"

// tcp4 is an established TCP session; port is that of the client.
func tcp4(port uint16) Entry {
	e := Entry{
		Orig: Tuple{
			Src: netip.MustParseAddr("192.0.2.100"), SrcPort: port,
			Dst: netip.MustParseAddr("198.51.100.100"), DstPort: 443, Proto: ProtoTCP,
		},
		Status:  StatusSeenReply | StatusAssured | StatusConfirmed,
		Timeout: 3600,
		TCP: TCP{
			State: TCPEstablished, WScale: [2]uint8{7, 9},
			Flags: [2]TCPFlags{TCPWindowScale | TCPSACK, TCPWindowScale | TCPSACK},
		},
	}
	e.Reply = e.Orig.Inverse()
	return e
}

// snat4 is tcp4, translated to an address of the firewall.
func snat4(port uint16) Entry {
	e := tcp4(port)
	e.Reply.Dst = netip.MustParseAddr("198.51.100.1")
	e.Reply.DstPort = port + 1
	return e
}

// tcp6 is tcp4 with IPv6.
func tcp6(port uint16) Entry {
	e := tcp4(port)
	e.Orig.Src, e.Orig.Dst = netip.MustParseAddr("2001:db8:1::100"), netip.MustParseAddr("2001:db8:2::100")
	e.Reply = e.Orig.Inverse()
	return e
}

// sample is entries of all kinds that the kernel can be told.
func sample() map[string]Entry {
	dnat6 := tcp6(1)
	dnat6.Reply.Src, dnat6.Reply.SrcPort = netip.MustParseAddr("2001:db8:3::1"), 8443
	both := snat4(1)
	both.Reply.Src, both.Reply.SrcPort = netip.MustParseAddr("203.0.113.9"), 8443

	udp := tcp4(1)
	udp.TCP, udp.Status = TCP{}, StatusConfirmed
	udp.Orig.Proto, udp.Reply.Proto = ProtoUDP, ProtoUDP
	gre := udp
	gre.Orig.Proto, gre.Reply.Proto = ProtoGRE, ProtoGRE
	esp := udp
	esp.Orig.Proto, esp.Orig.SrcPort, esp.Orig.DstPort = 50, 0, 0
	esp.Reply = esp.Orig.Inverse()

	icmp := esp
	icmp.Orig.Proto, icmp.Orig.ICMPType, icmp.Orig.ICMPID = ProtoICMP, 8, 77
	icmp.Reply = icmp.Orig.Inverse()
	icmpSNAT := icmp
	icmpSNAT.Reply.Dst, icmpSNAT.Reply.ICMPID = netip.MustParseAddr("198.51.100.1"), 78
	icmpDNAT := icmp
	icmpDNAT.Reply.Src = netip.MustParseAddr("203.0.113.9")
	icmp6 := tcp6(0)
	icmp6.TCP, icmp6.Status, icmp6.Orig.DstPort = TCP{}, StatusConfirmed, 0
	icmp6.Orig.Proto, icmp6.Orig.ICMPType, icmp6.Orig.ICMPID = ProtoICMPv6, 128, 77
	icmp6.Reply = icmp6.Orig.Inverse()

	marked := snat4(1)
	marked.Mark, marked.Zone = 0xdecade, 5
	zoneOrig, zoneReply := marked, marked
	zoneOrig.ZoneDir, zoneReply.ZoneDir = ZoneOrig, ZoneReply
	adjusted := snat4(1)
	adjusted.SeqAdj = [2]SeqAdj{{Pos: 1000, Before: -5, After: 7}, {Pos: 2000, After: -9}}
	closing := tcp4(1)
	closing.TCP = TCP{State: TCPFinWait, Flags: [2]TCPFlags{TCPCloseInit, 0}}

	return map[string]Entry{
		"tcp4": tcp4(1), "tcp6": tcp6(1), "snat4": snat4(1), "dnat6": dnat6, "snat and dnat": both,
		"udp": udp, "gre": gre, "esp": esp, "icmp": icmp, "icmp snat": icmpSNAT, "icmp dnat": icmpDNAT, "icmp6": icmp6,
		"mark and zone": marked, "zone of the original direction": zoneOrig, "zone of the answers": zoneReply,
		"sequence adjustment": adjusted, "closing": closing,
	}
}

// told is e as the kernel tells of it after it was put into the table.
func told(e Entry) Entry {
	_, snat := e.SNAT()
	_, dnat := e.DNAT()
	e.Status |= StatusConfirmed
	if snat {
		e.Status |= StatusSrcNAT
	}
	if dnat {
		e.Status |= StatusDstNAT
	}
	if snat || dnat {
		e.Status |= StatusSrcNATDone | StatusDstNATDone
	}
	if e.SeqAdj != [2]SeqAdj{} {
		e.Status |= StatusSeqAdjust
	}
	if e.Orig.Proto == ProtoTCP {
		e.TCP.Flags[DirOrig] |= TCPLiberal
		e.TCP.Flags[DirReply] |= TCPLiberal
	}
	return e
}
