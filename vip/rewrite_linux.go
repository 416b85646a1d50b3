package vip

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Offsets of struct __sk_buff, what a program knows of a packet besides its bytes.
const (
	skbProtocol    = 16
	skbVLANPresent = 20
)

// start begins a program: register 6 is the packet. Packets of VLANs belong to
// other interfaces.
func start(p *program) {
	p.add(
		instruction{op: opMov64Reg, dst: 6, src: 1},
		instruction{op: opLoad32, dst: 0, src: 6, off: skbVLANPresent},
		instruction{op: opJumpNe32, dst: 0, imm: 0, label: "out"},
	)
}

// What becomes of a packet.
const (
	tcxNext = -1 // it goes on its way
	tcxDrop = 2
)

// end ends a program: the packet goes on its way.
func end(p *program) {
	p.label("out")
	p.add(instruction{op: opMov64Imm, dst: 0, imm: tcxNext}, instruction{op: opExit})
}

// loadBytes copies n bytes of the packet to the stack; a shorter packet is done.
func loadBytes(p *program, off int, to slot, n int) {
	p.call(helperLoadBytes, off, to, n)
	p.add(instruction{op: opJumpNe32, dst: 0, imm: 0, label: "out"})
}

func word(b []byte) int32 { return int32(binary.NativeEndian.Uint32(b)) }
func half(b []byte) int32 { return int32(binary.NativeEndian.Uint16(b)) }

// idleProgram does nothing.
func idleProgram() *program {
	p := new(program)
	end(p)
	return p
}

// acceptProgram takes in the frames to mac as if it were the interface's own.
func acceptProgram(mac HardwareAddr) *program {
	p := new(program)
	start(p)
	const dst = slot(-8)
	loadBytes(p, 0, dst, 6)
	p.add(
		instruction{op: opLoad32, dst: 0, src: fp, off: int16(dst)},
		instruction{op: opJumpNe32, dst: 0, imm: word(mac[:]), label: "out"},
		instruction{op: opLoad16, dst: 0, src: fp, off: int16(dst) + 4},
		instruction{op: opJumpNe32, dst: 0, imm: half(mac[4:]), label: "out"},
	)
	const packetHost = 0
	p.call(helperChangeType, packetHost)
	end(p)
	return p
}

// The stack of the programs for what goes out.
const (
	slotMAC    = slot(-8)  // the shared hardware address
	slotOption = slot(-16) // the option that shall be
	slotOld    = slot(-24) // the option that is
	slotAddr   = slot(-40) // IPv4 or IPv6 address
	slotByte   = slot(-48)
)

// The places in a packet.
const (
	arpSender = 14 + 8 // hardware address, and the other one behind it
	icmp      = 14 + ipv6Len
)

// match finds the packets by which the kernel says where the addresses are: ARP
// packets from them are for the label "arp", neighbour advertisements for and
// solicitations from them for "nd", with the type of the option that says it in
// register 7. Everything else is for "out". It reports which of the labels are
// used: the kernel refuses instructions that are never reached.
func match(p *program, addrs []netip.Prefix) (arp, nd bool) {
	p.add(
		instruction{op: opLoad32, dst: 0, src: 6, off: skbProtocol},
		instruction{op: opJumpEq32, dst: 0, imm: half(binary.BigEndian.AppendUint16(nil, etherTypeIPv6)), label: "ipv6"},
		instruction{op: opJumpNe32, dst: 0, imm: half(binary.BigEndian.AppendUint16(nil, etherTypeARP)), label: "out"},
	)
	loadBytes(p, arpSender+6, slotAddr, 4)
	p.add(instruction{op: opLoad32, dst: 0, src: fp, off: int16(slotAddr)})
	for _, a := range addrs {
		if a.Addr().Is4() {
			arp = true
			p.add(instruction{op: opJumpEq32, dst: 0, imm: word(a.Addr().AsSlice()), label: "arp"})
		}
	}
	p.add(instruction{op: opJump, label: "out"})

	p.label("ipv6")
	loadBytes(p, 14+6, slotByte, 1)
	p.add(
		instruction{op: opLoad8, dst: 0, src: fp, off: int16(slotByte)},
		instruction{op: opJumpNe32, dst: 0, imm: icmpv6, label: "out"},
	)
	loadBytes(p, icmp, slotByte, 1)
	const nsType, optSource = 135, 1
	p.add(
		instruction{op: opLoad8, dst: 0, src: fp, off: int16(slotByte)},
		instruction{op: opMov64Imm, dst: 7, imm: optSource},
		instruction{op: opJumpEq32, dst: 0, imm: nsType, label: "ns"},
		instruction{op: opMov64Imm, dst: 7, imm: optTarget},
		instruction{op: opJumpNe32, dst: 0, imm: naType, label: "out"},
	)
	loadBytes(p, icmp+8, slotAddr, 16)
	p.add(instruction{op: opJump, label: "addr6"})
	p.label("ns")
	loadBytes(p, 14+8, slotAddr, 16)
	p.label("addr6")
	for i, a := range addrs {
		if a.Addr().Is4() {
			continue
		}
		nd = true
		next := fmt.Sprint("behind ", i)
		b := a.Addr().AsSlice()
		for w := range 4 {
			p.add(
				instruction{op: opLoad32, dst: 0, src: fp, off: int16(slotAddr) + int16(4*w)},
				instruction{op: opJumpNe32, dst: 0, imm: word(b[4*w:]), label: next},
			)
		}
		p.add(instruction{op: opJump, label: "nd"})
		p.label(next)
	}
	p.add(instruction{op: opJump, label: "out"})
	return arp, nd
}

// rewriteProgram puts mac in place of the interface's own address in the packets
// that say where the addresses are. The Ethernet source of those becomes mac, too,
// for the switches. Everything else leaves as it is.
func rewriteProgram(mac HardwareAddr, addrs []netip.Prefix) *program {
	p := new(program)
	start(p)
	p.add(
		instruction{op: opStore32, dst: fp, off: int16(slotMAC), imm: word(mac[:])},
		instruction{op: opStore16, dst: fp, off: int16(slotMAC) + 4, imm: half(mac[4:])},
	)
	arp, nd := match(p, addrs)
	if arp {
		p.label("arp")
		p.call(helperStoreBytes, arpSender, slotMAC, 6, 0)
		p.add(instruction{op: opJump, label: "source"})
	}
	if nd {
		p.label("nd")
		loadBytes(p, icmp+naLen, slotOld, naOptLen)
		p.add(
			instruction{op: opLoad8, dst: 0, src: fp, off: int16(slotOld)},
			instruction{op: opJumpNeXX, dst: 0, src: 7, label: "out"},
			instruction{op: opLoad8, dst: 0, src: fp, off: int16(slotOld) + 1},
			instruction{op: opJumpNe32, dst: 0, imm: 1, label: "out"},
			instruction{op: opStoreReg, dst: fp, src: 7, off: int16(slotOption)},
			instruction{op: opStore8, dst: fp, off: int16(slotOption) + 1, imm: 1},
			instruction{op: opStore16, dst: fp, off: int16(slotOption) + 2, imm: half(mac[:])},
			instruction{op: opStore32, dst: fp, off: int16(slotOption) + 4, imm: word(mac[2:])},
		)
		p.arguments(1, slotOld, naOptLen, slotOption, naOptLen, 0)
		p.add(
			instruction{op: opCall, imm: helperCsumDiff},
			instruction{op: opMov64Reg, dst: 4, src: 0},
			instruction{op: opMov64Reg, dst: 1, src: 6},
			instruction{op: opMov64Imm, dst: 2, imm: icmp + 2},
			instruction{op: opMov64Imm, dst: 3, imm: 0},
			instruction{op: opMov64Imm, dst: 5, imm: 0},
			instruction{op: opCall, imm: helperL4CsumReplace},
		)
		p.call(helperStoreBytes, icmp+naLen, slotOption, naOptLen, 0)
	}
	p.label("source")
	p.call(helperStoreBytes, 6, slotMAC, 6, 0)
	end(p)
	return p
}

// silentProgram drops the packets that rewriteProgram rewrites.
func silentProgram(addrs []netip.Prefix) *program {
	p := new(program)
	start(p)
	match(p, addrs)
	p.label("arp")
	p.label("nd")
	p.add(instruction{op: opMov64Imm, dst: 0, imm: tcxDrop}, instruction{op: opExit})
	end(p)
	return p
}
