package pfsync

import "encoding/binary"

// The lengths of messages other than states.
const (
	clrLen        = 20
	idLen         = 12 // INS_ACK, UPD_REQ, DEL_C
	updCLen       = 84
	busLen        = 12
	tdbLen        = 52
	tdbLenFreeBSD = 48
	peerLen       = 32
)

// A Clr asks to remove all states of a creator, on one interface or on all.
type Clr struct {
	IfName    Name // empty: on all
	CreatorID uint32
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It fails with [ErrLen]
// if b is too short, and ignores what is behind the message.
func (m *Clr) UnmarshalBinary(b []byte) error {
	if len(b) < clrLen {
		return ErrLen
	}
	*m = Clr{IfName: Name(b), CreatorID: binary.BigEndian.Uint32(b[16:])}
	return nil
}

func (m *Clr) put(b []byte) {
	copy(b, m.IfName[:])
	binary.BigEndian.PutUint32(b[16:], m.CreatorID)
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler] for INS_ACK, UPD_REQ and
// DEL_C, which are an identity and nothing else. It fails with [ErrLen] if b is
// too short, and ignores what is behind the message.
func (id *StateID) UnmarshalBinary(b []byte) error {
	if len(b) < idLen {
		return ErrLen
	}
	*id = StateID{ID: binary.BigEndian.Uint64(b), CreatorID: binary.BigEndian.Uint32(b[8:])}
	return nil
}

func (id StateID) put(b []byte) {
	binary.BigEndian.PutUint64(b, id.ID)
	binary.BigEndian.PutUint32(b[8:], id.CreatorID)
}

// An UpdC is what changes in the life of a state. Expire and Flags are on the
// wire, always 0, and nobody reads them.
type UpdC struct {
	StateID
	Src, Dst Peer
	Expire   uint32
	Timeout  Timeout
	Flags    uint8 // OpenBSD
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It fails with [ErrLen]
// if b is too short, and ignores what is behind the message. Values are not
// checked: that is [UpdC.Check].
func (m *UpdC) UnmarshalBinary(b []byte) error {
	if len(b) < updCLen {
		return ErrLen
	}
	p := (*[updCLen]byte)(b)
	m.ID = binary.BigEndian.Uint64(p[:])
	m.Src.get((*[peerLen]byte)(p[8:]))
	m.Dst.get((*[peerLen]byte)(p[40:]))
	m.CreatorID = binary.BigEndian.Uint32(p[72:])
	m.Expire = binary.BigEndian.Uint32(p[76:])
	m.Timeout, m.Flags = Timeout(p[80]), p[81]
	return nil
}

func (m *UpdC) put(b []byte) {
	p := (*[updCLen]byte)(b)
	binary.BigEndian.PutUint64(p[:], m.ID)
	m.Src.put((*[peerLen]byte)(p[8:]))
	m.Dst.put((*[peerLen]byte)(p[40:]))
	binary.BigEndian.PutUint32(p[72:], m.CreatorID)
	binary.BigEndian.PutUint32(p[76:], m.Expire)
	p[80], p[81] = uint8(m.Timeout), m.Flags
}

// The status of a bulk update.
const (
	BusStart uint8 = 1
	BusEnd   uint8 = 2
)

// A Bus marks the start or the end of a bulk update.
type Bus struct {
	CreatorID uint32 // the hostid of the sender
	EndTime   uint32 // seconds since the request was received; OpenBSD: 0
	Status    uint8
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It fails with [ErrLen]
// if b is too short, and ignores what is behind the message.
func (m *Bus) UnmarshalBinary(b []byte) error {
	if len(b) < busLen {
		return ErrLen
	}
	*m = Bus{CreatorID: binary.BigEndian.Uint32(b), EndTime: binary.BigEndian.Uint32(b[4:]), Status: b[8]}
	return nil
}

func (m *Bus) put(b []byte) {
	binary.BigEndian.PutUint32(b, m.CreatorID)
	binary.BigEndian.PutUint32(b[4:], m.EndTime)
	b[8] = m.Status
}

// A TDB carries the counters of an IPsec security association, so that the node
// that takes over does not use a number twice. It is decoded and never applied.
type TDB struct {
	SPI      uint32
	Dst      [28]byte // a sockaddr of the sender
	RPL      uint64   // FreeBSD: 32 bits
	CurBytes uint64
	Proto    uint8
	Updates  uint8
	RDomain  uint16 // OpenBSD
}

// Unmarshal decodes a message of d. It fails with [ErrLen] if b is too short, and
// ignores what is behind the message.
func (m *TDB) Unmarshal(d Dialect, b []byte) error {
	if d.traits().version == 6 {
		if len(b) < tdbLen {
			return ErrLen
		}
		*m = TDB{
			SPI: binary.BigEndian.Uint32(b), Dst: [28]byte(b[4:]),
			RPL: binary.BigEndian.Uint64(b[32:]), CurBytes: binary.BigEndian.Uint64(b[40:]),
			Proto: b[48], Updates: b[49], RDomain: binary.BigEndian.Uint16(b[50:]),
		}
		return nil
	}
	if len(b) < tdbLenFreeBSD {
		return ErrLen
	}
	*m = TDB{
		SPI: binary.BigEndian.Uint32(b), Dst: [28]byte(b[4:]),
		RPL: uint64(binary.BigEndian.Uint32(b[32:])), CurBytes: binary.BigEndian.Uint64(b[36:]),
		Proto: b[44], Updates: b[45],
	}
	return nil
}

// put encodes m in the layout whose length b has.
func (m *TDB) put(b []byte) {
	binary.BigEndian.PutUint32(b, m.SPI)
	copy(b[4:], m.Dst[:])
	if len(b) == tdbLenFreeBSD {
		binary.BigEndian.PutUint32(b[32:], uint32(m.RPL))
		binary.BigEndian.PutUint64(b[36:], m.CurBytes)
		b[44], b[45] = m.Proto, m.Updates
		return
	}
	binary.BigEndian.PutUint64(b[32:], m.RPL)
	binary.BigEndian.PutUint64(b[40:], m.CurBytes)
	b[48], b[49] = m.Proto, m.Updates
	binary.BigEndian.PutUint16(b[50:], m.RDomain)
}
