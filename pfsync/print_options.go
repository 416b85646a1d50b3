package pfsync

import "fmt"

const noRule = 1<<32 - 1 // its number on the wire

// appendCounters appends times, counters and rules.
func (st *State) appendCounters(b []byte) []byte {
	b = append(b, "\n   age "...)
	b = appendClock(b, st.Creation)
	b = append(b, ", expires in "...)
	b = appendClock(b, st.Expire)
	b = fmt.Appendf(b, ", %d:%d pkts, %d:%d bytes", st.Packets[0], st.Packets[1], st.Bytes[0], st.Bytes[1])
	if st.Anchor != noRule {
		b = fmt.Appendf(b, ", anchor %d", st.Anchor)
	}
	if st.Rule != noRule {
		b = fmt.Appendf(b, ", rule %d", st.Rule)
	}
	return b
}

// appendClock appends seconds as hours, minutes and seconds.
func appendClock(b []byte, s uint32) []byte {
	return fmt.Appendf(b, "%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

// appendOptions appends the flags of a state, of which FreeBSD 14 shows more.
func (st *State) appendOptions(b []byte, d Dialect) []byte {
	long := d.traits().longPrint
	flag := func(f StateFlags, word string, everywhere bool) {
		if st.Flags&f != 0 && (long || everywhere) {
			b = append(append(b, ", "...), word...)
		}
	}
	flag(FlagAllowOpts, "allow-opts", false)
	flag(FlagSloppy, "sloppy", true)
	flag(FlagNoSync, "no-sync", false)
	flag(FlagPflow, "pflow", d == OpenBSD)
	flag(FlagAck, "psync-ack", false)
	flag(FlagNoDF, "no-df", false)
	if long && st.Flags&FlagSetTOS != 0 {
		b = fmt.Appendf(b, ", set-tos %#02x", st.SetTOS)
	}
	flag(FlagRandomID, "random-id", false)
	flag(FlagScrubTCP, "reassemble-tcp", false)
	if long && st.Flags&FlagSetPrio != 0 {
		b = fmt.Appendf(b, ", set-prio (%#02x %#02x)", st.SetPrio[0], st.SetPrio[1])
	}
	if long && (st.DNPipe != 0 || st.DNRPipe != 0) {
		if st.Flags&FlagDummynetPipe != 0 {
			b = fmt.Appendf(b, ", dummynet pipe (%d %d)", st.DNPipe, st.DNRPipe)
		}
		if st.Flags&FlagDummynetQueue != 0 {
			b = fmt.Appendf(b, ", dummynet queue (%d %d)", st.DNPipe, st.DNRPipe)
		}
	}
	if st.SyncFlags&syncSourceNode != 0 {
		b = append(b, ", source-track"...)
	}
	if st.SyncFlags&syncNATSourceNode != 0 {
		b = append(b, ", sticky-address"...)
	}
	if !long {
		return b
	}
	return st.appendActions(b)
}

// The bits of State.SyncFlags and State.Log that are shown.
const (
	syncSourceNode    = 4
	syncNATSourceNode = 8
	logAll            = 2
)

// appendActions appends what else FreeBSD 14 shows of what a rule does to packets.
func (st *State) appendActions(b []byte) []byte {
	if st.Log != 0 {
		b = append(b, ", log"...)
		if st.Log&logAll != 0 {
			b = append(b, " (all)"...)
		}
	}
	if st.MinTTL != 0 {
		b = fmt.Appendf(b, ", min-ttl %d", st.MinTTL)
	}
	if st.MaxMSS != 0 {
		b = fmt.Appendf(b, ", max-mss %d", st.MaxMSS)
	}
	return b
}

// appendRoute appends what FreeBSD 14 shows behind the id.
func (st *State) appendRoute(b []byte) []byte {
	switch st.Rt {
	case RouteTo, DupTo, ReplyTo:
		af := st.RtAF
		if af == AFUnspec {
			af = st.AF
		}
		b = append(b, ' ')
		b = append(b, st.Rt.String()...)
		b = append(b, ": "...)
		b = st.RtAddr.appendTo(b, af)
		if st.RtIfName[0] != 0 {
			b = appendText(append(b, '@'), st.RtIfName[:])
		}
	}
	if st.RTableID[0] != -1 {
		b = fmt.Appendf(b, " rtable: %d", st.RTableID[0])
	}
	if st.OrigIfName.String() != st.IfName.String() {
		b = appendText(append(b, "\n   origif: "...), st.OrigIfName[:])
	}
	return b
}
