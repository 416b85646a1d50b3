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

// end ends a program: the packet goes on its way.
func end(p *program) {
	const tcxNext = -1
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

// The stack of rewriteProgram.
const (
	slotMAC    = slot(-8)  // the shared hardware address
	slotOption = slot(-16) // the option that shall be
	slotOld    = slot(-24) // the option that is
	slotAddr   = slot(-40) // IPv4 or IPv6 address
	slotByte   = slot(-48)
)

// rewriteProgram puts mac in place of the interface's own address where the
// kernel says where the addresses are: in ARP packets from them, and in
// neighbour advertisements for and solicitations from them. The Ethernet source
// of those becomes mac, too, for the switches. Everything else leaves as it is.
func rewriteProgram(mac HardwareAddr, addrs []netip.Prefix) *program {
	p := new(program)
	start(p)
	p.add(
		instruction{op: opStore32, dst: fp, off: int16(slotMAC), imm: word(mac[:])},
		instruction{op: opStore16, dst: fp, off: int16(slotMAC) + 4, imm: half(mac[4:])},
		instruction{op: opLoad32, dst: 0, src: 6, off: skbProtocol},
		instruction{op: opJumpEq32, dst: 0, imm: half(binary.BigEndian.AppendUint16(nil, etherTypeIPv6)), label: "ipv6"},
		instruction{op: opJumpNe32, dst: 0, imm: half(binary.BigEndian.AppendUint16(nil, etherTypeARP)), label: "out"},
	)
	const sender = 14 + 8
	loadBytes(p, sender+6, slotAddr, 4)
	p.add(instruction{op: opLoad32, dst: 0, src: fp, off: int16(slotAddr)})
	any4 := false
	for _, a := range addrs {
		if a.Addr().Is4() {
			any4 = true
			p.add(instruction{op: opJumpEq32, dst: 0, imm: word(a.Addr().AsSlice()), label: "arp"})
		}
	}
	p.add(instruction{op: opJump, label: "out"})
	if any4 {
		p.label("arp")
		p.call(helperStoreBytes, sender, slotMAC, 6, 0)
		p.add(instruction{op: opJump, label: "source"})
	}

	p.label("ipv6")
	const icmp = 14 + ipv6Len
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
	any6 := false
	for i, a := range addrs {
		if a.Addr().Is4() {
			continue
		}
		any6 = true
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
	if any6 { // the kernel refuses instructions that are never reached
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
