package main

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/gocarp/gocarp/pfsync"
)

// newMessage decodes b, a message of s, or returns nil if it is one to be skipped.
// [pfsync.Parse] has seen to it that b is long enough: decoding does not fail.
func newMessage(d pfsync.Dialect, s pfsync.Section, b []byte) message {
	switch s.Action {
	case pfsync.ActClr:
		return newClr(b)
	case pfsync.ActIns, pfsync.ActUpd, pfsync.ActDel:
		return newState(d, s, b)
	case pfsync.ActInsAck, pfsync.ActUpdReq, pfsync.ActDelC:
		var id pfsync.StateID
		id.UnmarshalBinary(b)
		return newStateID(id)
	case pfsync.ActUpdC:
		return newUpdC(d, b)
	case pfsync.ActBus:
		return newBus(b)
	case pfsync.ActTDB:
		return newTDB(d, b)
	}
	return nil
}

// A stateID is all there is of INS_ACK, UPD_REQ and DEL_C.
type stateID struct {
	ID        string `json:"id"`        // 16 hex digits
	CreatorID string `json:"creatorid"` // 8 hex digits
}

func newStateID(id pfsync.StateID) stateID {
	return stateID{fmt.Sprintf("%016x", id.ID), creator(id.CreatorID)}
}

func creator(id uint32) string { return fmt.Sprintf("%08x", id) }

func (m stateID) text(bool) string { return "id: " + m.ID + " creatorid: " + m.CreatorID }

// A clr is CLR.
type clr struct {
	IfName    string `json:"ifname"`
	CreatorID string `json:"creatorid"`
}

func newClr(b []byte) clr {
	var m pfsync.Clr
	m.UnmarshalBinary(b)
	return clr{m.IfName.String(), creator(m.CreatorID)}
}

func (m clr) text(bool) string {
	s := "creatorid: " + m.CreatorID
	if m.IfName != "" {
		s += " interface: " + printable(m.IfName)
	}
	return s
}

// An updC is UPD_C.
type updC struct {
	stateID
	Src        peer   `json:"src"`
	Dst        peer   `json:"dst"`
	Timeout    string `json:"timeout"`
	Expire     uint32 `json:"expire"`
	StateFlags uint8  `json:"state_flags"`
	refusal
}

func newUpdC(d pfsync.Dialect, b []byte) updC {
	var m pfsync.UpdC
	m.UnmarshalBinary(b)
	return updC{
		newStateID(m.StateID), newPeer(m.Src), newPeer(m.Dst),
		word(m.Timeout), m.Expire, m.Flags, refused(m.Check(d)),
	}
}

// text with -v says how far the state has come, which tcpdump leaves out.
func (m updC) text(verbose bool) string {
	s := m.stateID.text(verbose)
	if verbose {
		s += fmt.Sprintf("\n   %d:%d", m.Src.State, m.Dst.State)
		if src, dst := m.Src.window(), m.Dst.window(); src+dst != "" {
			s += " " + src + "  " + dst
		}
		s += " " + m.Timeout
	}
	return s + m.refusal.text()
}

// A refusal is why the kernels discard a message for a bad value, or empty.
type refusal struct {
	Refused string `json:"refused,omitempty"`
}

func refused(err error) refusal {
	return refusal{firstOf(err)}
}

func (r refusal) text() string {
	if r.Refused == "" {
		return ""
	}
	return " [" + r.Refused + "]"
}

// A bus is BUS.
type bus struct {
	CreatorID string `json:"creatorid"`
	EndTime   uint32 `json:"endtime"` // seconds
	Status    string `json:"status"`  // start, end, or a number that is neither
}

func newBus(b []byte) bus {
	var m pfsync.Bus
	m.UnmarshalBinary(b)
	status := strconv.Itoa(int(m.Status))
	switch m.Status {
	case pfsync.BusStart:
		status = "start"
	case pfsync.BusEnd:
		status = "end"
	}
	return bus{creator(m.CreatorID), m.EndTime, status}
}

func (m bus) text(bool) string {
	s := m.EndTime
	return fmt.Sprintf("creatorid: %s age: %02d:%02d:%02d status: %s", m.CreatorID, s/3600, s/60%60, s%60, m.Status)
}

// A tdb is TDB.
type tdb struct {
	SPI      uint32  `json:"spi"`
	Dst      string  `json:"dst"` // an address, or hex digits of what is none
	RPL      uint64  `json:"rpl"`
	CurBytes uint64  `json:"cur_bytes"`
	SProto   uint8   `json:"sproto"`
	Updates  uint8   `json:"updates"`
	RDomain  *uint16 `json:"rdomain,omitempty"` // OpenBSD
}

func newTDB(d pfsync.Dialect, b []byte) tdb {
	var m pfsync.TDB
	m.Unmarshal(d, b)
	t := tdb{m.SPI, sockaddr(d, m.Dst), m.RPL, m.CurBytes, m.Proto, m.Updates, nil}
	if d == pfsync.OpenBSD {
		t.RDomain = &m.RDomain
	}
	return t
}

// sockaddr is the address in a sockaddr of BSD: length, family, port, and an IPv4
// address or, behind a flow label, an IPv6 one.
func sockaddr(d pfsync.Dialect, b [28]byte) string {
	const inet, inet6OpenBSD, inet6FreeBSD = 2, 24, 28
	family := b[1]
	switch {
	case family == inet:
		return netip.AddrFrom4([4]byte(b[4:])).String()
	case family == inet6OpenBSD && d == pfsync.OpenBSD, family == inet6FreeBSD && d != pfsync.OpenBSD:
		return netip.AddrFrom16([16]byte(b[8:])).String()
	}
	return hex.EncodeToString(b[:])
}

func (m tdb) text(verbose bool) string {
	s := fmt.Sprintf("spi: 0x%08x rpl: %d cur_bytes: %d", m.SPI, m.RPL, m.CurBytes)
	if verbose {
		s += " dst: " + m.Dst
	}
	return s
}
