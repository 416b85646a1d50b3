package main

import (
	"cmp"
	"encoding/hex"
	"fmt"

	"github.com/gocarp/gocarp/pfsync"
)

// A state is INS, UPD or DEL: a field is there if the format of the wire has it.
type state struct {
	stateID
	IfName     string    `json:"ifname"`
	Direction  string    `json:"direction"` // in, out, or a number that is neither
	Proto      uint8     `json:"proto"`
	Wire       key       `json:"wire"`
	Stack      key       `json:"stack"`
	Src        peer      `json:"src"`
	Dst        peer      `json:"dst"`
	RtAddr     string    `json:"rt_addr,omitempty"`
	Rule       int32     `json:"rule"` // -1: none
	Anchor     int32     `json:"anchor"`
	NATRule    int32     `json:"nat_rule"`
	Creation   uint32    `json:"creation"`
	Expire     uint32    `json:"expire"`
	Packets    [2]uint64 `json:"packets"`
	Bytes      [2]uint64 `json:"bytes"`
	Timeout    string    `json:"timeout"` // the word of pf.conf, or a number
	RTableID   any       `json:"rtableid,omitempty"`
	StateFlags uint16    `json:"state_flags"`
	Log        uint8     `json:"log"`
	Rt         *uint8    `json:"rt,omitempty"` // as on the wire, where each system has its own numbers
	*oldOptions
	*ruleOptions
	*freeBSD14
	*freeBSD15
	refusal

	st     pfsync.State
	format pfsync.Format
}

// oldOptions are gone in 1500.
type oldOptions struct {
	AF        string `json:"af"` // of the wire key, on OpenBSD
	SyncFlags uint8  `json:"sync_flags"`
	Updates   uint8  `json:"updates"`
}

// ruleOptions are what 1301 leaves to the ruleset of the receiver, as it does rt.
type ruleOptions struct {
	MaxMSS  uint16   `json:"max_mss"`
	MinTTL  uint8    `json:"min_ttl"`
	SetTOS  uint8    `json:"set_tos"`
	SetPrio [2]uint8 `json:"set_prio"`
}

// freeBSD14 is what 1400 brought.
type freeBSD14 struct {
	QID      uint16 `json:"qid"`
	PQID     uint16 `json:"pqid"`
	DNPipe   uint16 `json:"dnpipe"`
	DNRPipe  uint16 `json:"dnrpipe"`
	RtIfName string `json:"rt_ifname"`
}

// freeBSD15 is what 1500 brought.
type freeBSD15 struct {
	TagName    string `json:"tagname"`
	OrigIfName string `json:"orig_ifname"`
	WireAF     string `json:"wire_af"`
	StackAF    string `json:"stack_af"`
	RtAF       string `json:"rt_af"`
	WireProto  uint8  `json:"wire_proto"`
	StackProto uint8  `json:"stack_proto"`
}

func newState(d pfsync.Dialect, s pfsync.Section, b []byte) *state {
	m := &state{format: s.Format}
	st := &m.st
	st.Unmarshal(s.Format, b)
	m.stateID, m.IfName = newStateID(st.StateID), st.IfName.String()
	m.Direction, m.Proto = word(st.Direction), st.Proto
	m.Wire, m.Stack = newKey(d, st, &st.Wire), newKey(d, st, &st.Stack)
	m.Src, m.Dst = newPeer(st.Src), newPeer(st.Dst)
	if st.RtAddr != (pfsync.Addr{}) {
		m.RtAddr = address(st.RtAddr, cmp.Or(st.RtAF, st.AF))
	}
	m.Rule, m.Anchor, m.NATRule = int32(st.Rule), int32(st.Anchor), int32(st.NATRule)
	m.Creation, m.Expire = st.Creation, st.Expire
	m.Packets, m.Bytes = st.Packets, st.Bytes
	m.Timeout, m.StateFlags, m.Log = word(st.Timeout), uint16(st.Flags), st.Log

	if s.Format != pfsync.Format1301 {
		m.ruleOptions = &ruleOptions{st.MaxMSS, st.MinTTL, st.SetTOS, st.SetPrio}
	}
	if s.Format != pfsync.Format1500 {
		m.oldOptions = &oldOptions{afName(d, st.AF), st.SyncFlags, st.Updates}
	}
	switch s.Format {
	case pfsync.FormatOpenBSD:
		rt := b[rtOpenBSD]
		m.Rt, m.RTableID = &rt, st.RTableID
	case pfsync.Format1400, pfsync.Format1500:
		rt := uint8(st.Rt)
		m.Rt, m.RTableID = &rt, st.RTableID[0]
		m.freeBSD14 = &freeBSD14{st.QID, st.PQID, st.DNPipe, st.DNRPipe, st.RtIfName.String()}
	}
	if s.Format == pfsync.Format1500 {
		m.freeBSD15 = &freeBSD15{
			st.Tag.String(), st.OrigIfName.String(),
			afName(d, st.Wire.AF), afName(d, st.Stack.AF), afName(d, st.RtAF), st.Wire.Proto, st.Stack.Proto,
		}
	}

	check := st.Check
	if s.Action == pfsync.ActUpd {
		check = st.CheckUpdate
	}
	m.refusal = refused(check(d))
	return m
}

// rtOpenBSD is where rt stands in OpenBSD's states; decoding translates it.
const rtOpenBSD = 254

// pfctls are whose pfctl prints the states of a format. An older FreeBSD than the
// one that made the format does not know all of it.
var pfctls = map[pfsync.Format]pfsync.Dialect{
	pfsync.FormatOpenBSD: pfsync.OpenBSD,
	pfsync.Format1301:    pfsync.FreeBSD12,
	pfsync.Format1400:    pfsync.FreeBSD14,
	pfsync.Format1500:    pfsync.FreeBSD15,
}

// text is pfctl -ss, or with -v what that has with -vv.
func (m *state) text(verbose bool) string {
	level := 0
	if verbose {
		level = 2
	}
	return string(m.st.AppendPfctl(nil, pfctls[m.format], level)) + m.refusal.text()
}

// A key is one of the two views of a connection: see [pfsync.Key].
type key struct {
	AF      string    `json:"af"`
	Addr    [2]string `json:"addr"`
	Port    [2]uint16 `json:"port"`
	RDomain *uint16   `json:"rdomain,omitempty"` // OpenBSD
}

func newKey(d pfsync.Dialect, st *pfsync.State, k *pfsync.Key) key {
	out, af := key{Port: k.Port}, k.AF
	if d == pfsync.OpenBSD {
		out.RDomain = &k.RDomain
		af = cmp.Or(af, st.AF) // as the kernel reads it
	}
	out.AF = afName(d, af)
	out.Addr = [2]string{address(k.Addr[0], af), address(k.Addr[1], af)}
	return out
}

// address is an address, or hex digits if its family is not known.
func address(a pfsync.Addr, af pfsync.AF) string {
	switch af {
	case pfsync.AFInet, pfsync.AFInet6:
		return a.Netip(af).String()
	}
	return hex.EncodeToString(a[:])
}

// A peer is one side of a connection.
type peer struct {
	State   uint8  `json:"state"`
	SeqLo   uint32 `json:"seqlo"`
	SeqHi   uint32 `json:"seqhi"`
	SeqDiff uint32 `json:"seqdiff"`
	MaxWin  uint16 `json:"max_win"`
	MSS     uint16 `json:"mss"`
	WScale  uint8  `json:"wscale"` // 0x80: the option was seen
	Scrub   *scrub `json:"scrub,omitempty"`
}

type scrub struct {
	Flags uint16 `json:"flags"`
	TTL   uint8  `json:"ttl"`
	TSMod uint32 `json:"ts_mod"`
}

func newPeer(p pfsync.Peer) peer {
	out := peer{uint8(p.State), p.SeqLo, p.SeqHi, p.SeqDiff, p.MaxWin, p.MSS, p.WScale, nil}
	if p.Scrub.Valid != 0 {
		out.Scrub = &scrub{p.Scrub.Flags, p.Scrub.TTL, p.Scrub.TSMod}
	}
	return out
}

// window is the window as pfctl has it, or empty if there is none.
func (p peer) window() string {
	if p.SeqLo == 0 && p.SeqHi == 0 {
		return ""
	}
	s := fmt.Sprintf("[%d + %d]", p.SeqLo, p.SeqHi-p.SeqLo)
	if p.SeqDiff != 0 {
		s += fmt.Sprintf("(+%d)", p.SeqDiff)
	}
	if p.WScale != 0 {
		s += fmt.Sprintf(" wscale %d", p.WScale&0x0f)
	}
	return s
}
