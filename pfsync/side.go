package pfsync

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// The side channel is how two nodes of this library find out whether their tables
// agree. Nothing of it is pfsync: it is a protocol of its own, in datagrams between
// addresses that were configured for it, so that no BSD ever sees it. States are
// repaired by ordinary pfsync messages; only what to repair is said here.
//
// Each datagram is a header and one message:
//
//	 0                   1                   2                   3
//	+---------------------------------------------------------------+
//	|                        magic "gcps"                           |
//	+---------------+---------------+-------------------------------+
//	|   version 1   |     kind      |           reserved 0          |
//	+---------------+---------------+-------------------------------+
//	|                      hostid of the sender                     |
//	+---------------------------------------------------------------+
//	|             epoch of the sender: random at each start         |
//	|                                                               |
//	+---------------------------------------------------------------+
const (
	sideMagic     = 0x67637073
	sideVersion   = 1
	sideHeaderLen = 20

	// SideMTU bounds the datagrams of the side channel, in octets of payload.
	SideMTU = 1400
)

// ErrSide is why a datagram of the side channel was dropped.
var ErrSide = errors.New("pfsync: not a message of the side channel")

type sideKind uint8

const (
	sideHello     sideKind = iota + 1 // I am here, and this is what I have
	sideNack                          // these frames of yours did not arrive
	sideAck                           // this frame of yours has arrived, and those before
	sideAgain                         // what was in these frames is sent again
	sideForgotten                     // what was in these frames is not known any more
	sideGroups                        // the digests of all groups of buckets
	sideBuckets                       // the digests of the buckets of a group that differs
	sideList                          // the states of a bucket that differs
	sideWant                          // send me these states
	sideResult                        // what came out of your list
)

type sideHeader struct {
	kind   sideKind
	hostID uint32
	epoch  uint64
}

func (h sideHeader) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, sideMagic)
	b = append(b, sideVersion, byte(h.kind), 0, 0)
	b = binary.BigEndian.AppendUint32(b, h.hostID)
	return binary.BigEndian.AppendUint64(b, h.epoch)
}

func (h *sideHeader) parse(b []byte) ([]byte, error) {
	if len(b) < sideHeaderLen || binary.BigEndian.Uint32(b) != sideMagic {
		return nil, ErrSide
	}
	if b[4] != sideVersion {
		return nil, fmt.Errorf("%w: version %d, want %d", ErrSide, b[4], sideVersion)
	}
	*h = sideHeader{sideKind(b[5]), binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint64(b[12:])}
	return b[sideHeaderLen:], nil
}

// A helloMsg is sent all the time. It ends the ignorance of each other when echo is
// the receiver's epoch, and after that tells of frames that got lost at the end.
type helloMsg struct {
	echo   uint64 // epoch of the receiver, as far as it is known
	next   uint64 // number of the next frame
	root   uint64 // digest of the table
	states uint64
}

func (m *helloMsg) append(b []byte) []byte {
	for _, v := range [...]uint64{m.echo, m.next, m.root, m.states} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

func (m *helloMsg) parse(b []byte) error {
	if len(b) < 32 {
		return ErrSide
	}
	*m = helloMsg{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]),
		binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:])}
	return nil
}

// A span is a range of frame numbers, both ends in it.
type span struct{ from, to uint64 }

const maxSpans = 64 // in a message, and remembered

func appendSpans(b []byte, spans []span) []byte {
	for _, s := range spans {
		b = binary.BigEndian.AppendUint64(b, s.from)
		b = binary.BigEndian.AppendUint64(b, s.to)
	}
	return b
}

func parseSpans(b []byte) ([]span, error) {
	if len(b) == 0 || len(b)%16 != 0 || len(b)/16 > maxSpans {
		return nil, ErrSide
	}
	spans := make([]span, 0, len(b)/16)
	for ; len(b) > 0; b = b[16:] {
		spans = append(spans, span{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])})
	}
	return spans, nil
}

// Buckets come in groups of as many as there are groups.
const (
	groupCount = 64
	groupSize  = DigestBuckets / groupCount
)

// A digestsMsg compares a row of digests: those of all groups, or those of
// the buckets of one group.
type digestsMsg struct {
	round uint32
	group uint8 // sideBuckets
	row   [groupCount]uint64
}

func (m *digestsMsg) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, m.round)
	b = append(b, m.group, 0, 0, 0)
	for _, d := range m.row {
		b = binary.BigEndian.AppendUint64(b, d)
	}
	return b
}

func (m *digestsMsg) parse(b []byte) error {
	if len(b) < 8+8*groupCount || b[4] >= groupCount {
		return ErrSide
	}
	*m = digestsMsg{round: binary.BigEndian.Uint32(b), group: b[4]}
	for i := range m.row {
		m.row[i] = binary.BigEndian.Uint64(b[8+8*i:])
	}
	return nil
}

// A listEntry says of a state that it is here, or that it was and is not to come back.
type listEntry struct {
	id      StateID
	digest  uint32 // half of it
	idle    time.Duration
	removed bool
}

// before is the order of entries in a bucket.
func (id StateID) before(other StateID) bool {
	return id.ID < other.ID || id.ID == other.ID && id.CreatorID < other.CreatorID
}

var lastID = StateID{math.MaxUint64, math.MaxUint32}

const (
	entryLen     = 20
	listHeadLen  = 32
	listMax      = (SideMTU - sideHeaderLen - listHeadLen) / entryLen
	idleUnit     = 100 * time.Millisecond
	entryRemoved = 1
)

// A listMsg is what is in a part of a bucket: all states with identities from one
// to another. So each list can be judged by itself, whatever becomes of others.
type listMsg struct {
	round    uint32
	bucket   uint16
	from, to StateID
	entries  []listEntry
}

func (m *listMsg) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, m.round)
	b = binary.BigEndian.AppendUint16(b, m.bucket)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = m.from.append(b)
	b = m.to.append(b)
	for _, e := range m.entries {
		b = e.id.append(b)
		b = binary.BigEndian.AppendUint32(b, e.digest)
		b = binary.BigEndian.AppendUint16(b, uint16(min(e.idle/idleUnit, math.MaxUint16)))
		var flags uint8
		if e.removed {
			flags = entryRemoved
		}
		b = append(b, flags, 0)
	}
	return b
}

// parse reads b. The entries must be in order, and in the range that the list is about.
func (m *listMsg) parse(b []byte) error {
	if len(b) < listHeadLen || (len(b)-listHeadLen)%entryLen != 0 {
		return ErrSide
	}
	*m = listMsg{round: binary.BigEndian.Uint32(b), bucket: binary.BigEndian.Uint16(b[4:]),
		from: parseID(b[8:]), to: parseID(b[20:]), entries: m.entries[:0]}
	if m.bucket >= DigestBuckets || m.to.before(m.from) {
		return ErrSide
	}
	for b = b[listHeadLen:]; len(b) > 0; b = b[entryLen:] {
		e := listEntry{id: parseID(b), digest: binary.BigEndian.Uint32(b[12:]),
			idle: time.Duration(binary.BigEndian.Uint16(b[16:])) * idleUnit, removed: b[18]&entryRemoved != 0}
		if e.id.before(m.from) || m.to.before(e.id) || len(m.entries) > 0 && !m.entries[len(m.entries)-1].id.before(e.id) {
			return fmt.Errorf("%w: list out of order", ErrSide)
		}
		m.entries = append(m.entries, e)
	}
	return nil
}

func (id StateID) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, id.ID)
	return binary.BigEndian.AppendUint32(b, id.CreatorID)
}

func parseID(b []byte) StateID {
	return StateID{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])}
}

const maxWant = (SideMTU - sideHeaderLen) / 12

func parseIDs(b []byte) ([]StateID, error) {
	if len(b)%12 != 0 || len(b)/12 > maxWant {
		return nil, ErrSide
	}
	ids := make([]StateID, 0, len(b)/12)
	for ; len(b) > 0; b = b[12:] {
		ids = append(ids, parseID(b))
	}
	return ids, nil
}

// A resultMsg is what a list came to.
type resultMsg struct {
	round   uint32
	differ  uint32 // states that are not the same on both nodes, and were to be
	flowing uint32 // states that differ, but were changed a moment ago
}

func (m *resultMsg) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, m.round)
	b = binary.BigEndian.AppendUint32(b, m.differ)
	return binary.BigEndian.AppendUint32(b, m.flowing)
}

func (m *resultMsg) parse(b []byte) error {
	if len(b) < 12 {
		return ErrSide
	}
	*m = resultMsg{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])}
	return nil
}
