package pfsync

import (
	"cmp"
	"encoding/binary"
)

const (
	len1301 = 242
	len1400 = 277
	len1500 = 360

	lenFreeBSD    = 232 // what the three have in common
	keyLenFreeBSD = 36
)

// getFreeBSD reads what all of FreeBSD's formats begin with.
func (st *State) getFreeBSD(p *[lenFreeBSD]byte) {
	*st = State{}
	st.RTableID = [2]int32{-1, -1}
	st.ID = binary.BigEndian.Uint64(p[0:])
	st.IfName = Name(p[8:])
	st.Wire.getFreeBSD((*[keyLenFreeBSD]byte)(p[24:]))
	st.Stack.getFreeBSD((*[keyLenFreeBSD]byte)(p[60:]))
	st.Src.get((*[peerLen]byte)(p[96:]))
	st.Dst.get((*[peerLen]byte)(p[128:]))
	st.RtAddr = Addr(p[160:])
	st.Rule = binary.BigEndian.Uint32(p[176:])
	st.Anchor = binary.BigEndian.Uint32(p[180:])
	st.NATRule = binary.BigEndian.Uint32(p[184:])
	st.Creation = binary.BigEndian.Uint32(p[188:])
	st.Expire = binary.BigEndian.Uint32(p[192:])
	st.Packets[0] = binary.BigEndian.Uint64(p[196:])
	st.Packets[1] = binary.BigEndian.Uint64(p[204:])
	st.Bytes[0] = binary.BigEndian.Uint64(p[212:])
	st.Bytes[1] = binary.BigEndian.Uint64(p[220:])
	st.CreatorID = binary.BigEndian.Uint32(p[228:])
}

func (st *State) putFreeBSD(p *[lenFreeBSD]byte) {
	binary.BigEndian.PutUint64(p[0:], st.ID)
	copy(p[8:], st.IfName[:])
	st.Wire.putFreeBSD((*[keyLenFreeBSD]byte)(p[24:]))
	st.Stack.putFreeBSD((*[keyLenFreeBSD]byte)(p[60:]))
	st.Src.put((*[peerLen]byte)(p[96:]))
	st.Dst.put((*[peerLen]byte)(p[128:]))
	copy(p[160:], st.RtAddr[:])
	binary.BigEndian.PutUint32(p[176:], st.Rule)
	binary.BigEndian.PutUint32(p[180:], st.Anchor)
	binary.BigEndian.PutUint32(p[184:], st.NATRule)
	binary.BigEndian.PutUint32(p[188:], st.Creation)
	binary.BigEndian.PutUint32(p[192:], st.Expire)
	binary.BigEndian.PutUint64(p[196:], st.Packets[0])
	binary.BigEndian.PutUint64(p[204:], st.Packets[1])
	binary.BigEndian.PutUint64(p[212:], st.Bytes[0])
	binary.BigEndian.PutUint64(p[220:], st.Bytes[1])
	binary.BigEndian.PutUint32(p[228:], st.CreatorID)
}

// get1301 reads struct pfsync_state of FreeBSD 12 and 13 (pfsync_state_1301).
func (st *State) get1301(p *[len1301]byte) {
	st.getFreeBSD((*[lenFreeBSD]byte)(p[:]))
	st.getOldTail(p)
	st.Flags = StateFlags(p[238])
}

func (st *State) put1301(p *[len1301]byte) {
	st.putFreeBSD((*[lenFreeBSD]byte)(p[:]))
	st.putOldTail(p)
	p[238] = uint8(st.Flags)
}

// getOldTail reads what 1301 and 1400 have in common beyond that.
func (st *State) getOldTail(p *[len1301]byte) {
	st.AF, st.Proto = AF(swapAF(p[232], inet6FreeBSD)), p[233]
	st.Wire.AF, st.Wire.Proto = st.AF, st.Proto
	st.Stack.AF, st.Stack.Proto = st.AF, st.Proto
	st.Direction = Direction(p[234])
	st.Log = p[237]
	st.Timeout = Timeout(p[239])
	st.SyncFlags, st.Updates = p[240], p[241]
	st.OrigIfName = st.IfName
}

func (st *State) putOldTail(p *[len1301]byte) {
	p[232], p[233] = swapAF(uint8(st.AF), inet6FreeBSD), st.Proto
	p[234] = uint8(st.Direction)
	p[237] = st.Log
	p[239] = uint8(st.Timeout)
	p[240], p[241] = st.SyncFlags, st.Updates
}

// get1400 reads struct pfsync_state_1400.
func (st *State) get1400(p *[len1400]byte) {
	st.getFreeBSD((*[lenFreeBSD]byte)(p[:]))
	st.getOldTail((*[len1301]byte)(p[:]))
	st.Flags = StateFlags(binary.BigEndian.Uint16(p[235:]))
	st.QID, st.PQID = binary.BigEndian.Uint16(p[242:]), binary.BigEndian.Uint16(p[244:])
	st.DNPipe, st.DNRPipe = binary.BigEndian.Uint16(p[246:]), binary.BigEndian.Uint16(p[248:])
	st.RTableID[0] = int32(binary.BigEndian.Uint32(p[250:]))
	st.MinTTL, st.SetTOS = p[254], p[255]
	st.MaxMSS = binary.BigEndian.Uint16(p[256:])
	st.SetPrio = [2]uint8{p[258], p[259]}
	st.Rt = RouteType(p[260])
	if st.Rt != RouteNone {
		st.RtAF = st.AF
	}
	st.RtIfName = Name(p[261:])
}

func (st *State) put1400(p *[len1400]byte) {
	st.putFreeBSD((*[lenFreeBSD]byte)(p[:]))
	st.putOldTail((*[len1301]byte)(p[:]))
	binary.BigEndian.PutUint16(p[235:], uint16(st.Flags))
	binary.BigEndian.PutUint16(p[242:], st.QID)
	binary.BigEndian.PutUint16(p[244:], st.PQID)
	binary.BigEndian.PutUint16(p[246:], st.DNPipe)
	binary.BigEndian.PutUint16(p[248:], st.DNRPipe)
	binary.BigEndian.PutUint32(p[250:], uint32(st.RTableID[0]))
	p[254], p[255] = st.MinTTL, st.SetTOS
	binary.BigEndian.PutUint16(p[256:], st.MaxMSS)
	p[258], p[259] = st.SetPrio[0], st.SetPrio[1]
	p[260] = uint8(st.Rt)
	copy(p[261:], st.RtIfName[:])
}

// get1500 reads struct pfsync_state_1500, which has a family and a protocol for
// each key, and has lost SyncFlags and Updates.
func (st *State) get1500(p *[len1500]byte) {
	st.getFreeBSD((*[lenFreeBSD]byte)(p[:]))
	st.Tag = Tag(p[232:])
	st.RtIfName, st.OrigIfName = Name(p[296:]), Name(p[312:])
	st.RTableID[0] = int32(binary.BigEndian.Uint32(p[328:]))
	st.Flags = StateFlags(binary.BigEndian.Uint16(p[332:]))
	st.QID, st.PQID = binary.BigEndian.Uint16(p[334:]), binary.BigEndian.Uint16(p[336:])
	st.DNPipe, st.DNRPipe = binary.BigEndian.Uint16(p[338:]), binary.BigEndian.Uint16(p[340:])
	st.MaxMSS = binary.BigEndian.Uint16(p[342:])
	st.Wire.AF, st.Stack.AF = AF(swapAF(p[344], inet6FreeBSD)), AF(swapAF(p[345], inet6FreeBSD))
	st.RtAF = AF(swapAF(p[346], inet6FreeBSD))
	st.Wire.Proto, st.Stack.Proto = p[347], p[348]
	st.AF, st.Proto = st.Wire.AF, st.Wire.Proto
	st.Log, st.Timeout = p[349], Timeout(p[350])
	st.Direction, st.Rt = Direction(p[351]), RouteType(p[352])
	st.MinTTL, st.SetTOS = p[353], p[354]
	st.SetPrio = [2]uint8{p[355], p[356]}
}

func (st *State) put1500(p *[len1500]byte) {
	st.putFreeBSD((*[lenFreeBSD]byte)(p[:]))
	copy(p[232:], st.Tag[:])
	copy(p[296:], st.RtIfName[:])
	copy(p[312:], st.OrigIfName[:])
	binary.BigEndian.PutUint32(p[328:], uint32(st.RTableID[0]))
	binary.BigEndian.PutUint16(p[332:], uint16(st.Flags))
	binary.BigEndian.PutUint16(p[334:], st.QID)
	binary.BigEndian.PutUint16(p[336:], st.PQID)
	binary.BigEndian.PutUint16(p[338:], st.DNPipe)
	binary.BigEndian.PutUint16(p[340:], st.DNRPipe)
	binary.BigEndian.PutUint16(p[342:], st.MaxMSS)
	p[344] = swapAF(uint8(cmp.Or(st.Wire.AF, st.AF)), inet6FreeBSD)
	p[345] = swapAF(uint8(cmp.Or(st.Stack.AF, st.AF)), inet6FreeBSD)
	p[346] = swapAF(uint8(st.RtAF), inet6FreeBSD)
	p[347], p[348] = cmp.Or(st.Wire.Proto, st.Proto), cmp.Or(st.Stack.Proto, st.Proto)
	p[349], p[350] = st.Log, uint8(st.Timeout)
	p[351], p[352] = uint8(st.Direction), uint8(st.Rt)
	p[353], p[354] = st.MinTTL, st.SetTOS
	p[355], p[356] = st.SetPrio[0], st.SetPrio[1]
}

// getFreeBSD reads the addresses and ports, which is all that a key has here.
func (k *Key) getFreeBSD(p *[keyLenFreeBSD]byte) {
	k.Addr[0] = Addr(p[0:])
	k.Addr[1] = Addr(p[16:])
	k.Port[0] = binary.BigEndian.Uint16(p[32:])
	k.Port[1] = binary.BigEndian.Uint16(p[34:])
}

func (k *Key) putFreeBSD(p *[keyLenFreeBSD]byte) {
	copy(p[0:], k.Addr[0][:])
	copy(p[16:], k.Addr[1][:])
	binary.BigEndian.PutUint16(p[32:], k.Port[0])
	binary.BigEndian.PutUint16(p[34:], k.Port[1])
}
