package pfsync

import "encoding/binary"

const lenOpenBSD = 264

// getOpenBSD reads OpenBSD's struct pfsync_state.
func (st *State) getOpenBSD(p *[lenOpenBSD]byte) {
	*st = State{}
	st.ID = binary.BigEndian.Uint64(p[0:])
	st.IfName = Name(p[8:])
	st.Wire.getOpenBSD((*[keyLenOpenBSD]byte)(p[24:]))
	st.Stack.getOpenBSD((*[keyLenOpenBSD]byte)(p[64:]))
	st.Src.get((*[peerLen]byte)(p[104:]))
	st.Dst.get((*[peerLen]byte)(p[136:]))
	st.RtAddr = Addr(p[168:])
	st.Rule = binary.BigEndian.Uint32(p[184:])
	st.Anchor = binary.BigEndian.Uint32(p[188:])
	st.NATRule = binary.BigEndian.Uint32(p[192:])
	st.Creation = binary.BigEndian.Uint32(p[196:])
	st.Expire = binary.BigEndian.Uint32(p[200:])
	st.Packets[0] = binary.BigEndian.Uint64(p[204:])
	st.Packets[1] = binary.BigEndian.Uint64(p[212:])
	st.Bytes[0] = binary.BigEndian.Uint64(p[220:])
	st.Bytes[1] = binary.BigEndian.Uint64(p[228:])
	st.CreatorID = binary.BigEndian.Uint32(p[236:])
	st.RTableID[0] = int32(binary.BigEndian.Uint32(p[240:]))
	st.RTableID[1] = int32(binary.BigEndian.Uint32(p[244:]))
	st.MaxMSS = binary.BigEndian.Uint16(p[248:])
	st.AF, st.Proto = AF(swapAF(p[250], inet6OpenBSD)), p[251]
	st.Direction, st.Log = Direction(p[252]), p[253]
	st.Rt, st.Timeout = getRouteOpenBSD(p[254]), Timeout(p[255])
	st.SyncFlags, st.Updates = p[256], p[257]
	st.MinTTL, st.SetTOS = p[258], p[259]
	st.Flags = StateFlags(binary.BigEndian.Uint16(p[260:]))
	st.SetPrio[0], st.SetPrio[1] = p[262], p[263]

	st.Wire.Proto = protoIn(st.Wire.AF, st.Proto)
	st.Stack.Proto = protoIn(st.Stack.AF, st.Proto)
}

func (st *State) putOpenBSD(p *[lenOpenBSD]byte) {
	binary.BigEndian.PutUint64(p[0:], st.ID)
	copy(p[8:], st.IfName[:])
	st.Wire.putOpenBSD((*[keyLenOpenBSD]byte)(p[24:]))
	st.Stack.putOpenBSD((*[keyLenOpenBSD]byte)(p[64:]))
	st.Src.put((*[peerLen]byte)(p[104:]))
	st.Dst.put((*[peerLen]byte)(p[136:]))
	copy(p[168:], st.RtAddr[:])
	binary.BigEndian.PutUint32(p[184:], st.Rule)
	binary.BigEndian.PutUint32(p[188:], st.Anchor)
	binary.BigEndian.PutUint32(p[192:], st.NATRule)
	binary.BigEndian.PutUint32(p[196:], st.Creation)
	binary.BigEndian.PutUint32(p[200:], st.Expire)
	binary.BigEndian.PutUint64(p[204:], st.Packets[0])
	binary.BigEndian.PutUint64(p[212:], st.Packets[1])
	binary.BigEndian.PutUint64(p[220:], st.Bytes[0])
	binary.BigEndian.PutUint64(p[228:], st.Bytes[1])
	binary.BigEndian.PutUint32(p[236:], st.CreatorID)
	binary.BigEndian.PutUint32(p[240:], uint32(st.RTableID[0]))
	binary.BigEndian.PutUint32(p[244:], uint32(st.RTableID[1]))
	binary.BigEndian.PutUint16(p[248:], st.MaxMSS)
	p[250], p[251] = swapAF(uint8(st.AF), inet6OpenBSD), st.Proto
	p[252], p[253] = uint8(st.Direction), st.Log
	p[254], p[255] = st.Rt.openBSD(), uint8(st.Timeout)
	p[256], p[257] = st.SyncFlags, st.Updates
	p[258], p[259] = st.MinTTL, st.SetTOS
	binary.BigEndian.PutUint16(p[260:], uint16(st.Flags))
	p[262], p[263] = st.SetPrio[0], st.SetPrio[1]
}

const keyLenOpenBSD = 40

// getOpenBSD reads struct pfsync_state_key.
func (k *Key) getOpenBSD(p *[keyLenOpenBSD]byte) {
	k.Addr[0] = Addr(p[0:])
	k.Addr[1] = Addr(p[16:])
	k.Port[0] = binary.BigEndian.Uint16(p[32:])
	k.Port[1] = binary.BigEndian.Uint16(p[34:])
	k.RDomain = binary.BigEndian.Uint16(p[36:])
	k.AF = AF(swapAF(p[38], inet6OpenBSD))
}

func (k *Key) putOpenBSD(p *[keyLenOpenBSD]byte) {
	copy(p[0:], k.Addr[0][:])
	copy(p[16:], k.Addr[1][:])
	binary.BigEndian.PutUint16(p[32:], k.Port[0])
	binary.BigEndian.PutUint16(p[34:], k.Port[1])
	binary.BigEndian.PutUint16(p[36:], k.RDomain)
	p[38] = swapAF(uint8(k.AF), inet6OpenBSD)
}

// OpenBSD's route types are one less, since it has no RouteFast, which takes the
// number that is free there: so wrong numbers survive a translation.
func getRouteOpenBSD(n uint8) RouteType {
	switch {
	case n >= 1 && n <= 3:
		return RouteType(n + 1)
	case n == 4:
		return RouteFast
	}
	return RouteType(n)
}

func (r RouteType) openBSD() uint8 {
	switch {
	case r >= RouteTo && r <= ReplyTo:
		return uint8(r - 1)
	case r == RouteFast:
		return 4
	}
	return uint8(r)
}

// protoIn is the protocol of a key: that of the state, unless it is ICMP of the
// other family, which af-to has changed (pf_state_import).
func protoIn(af AF, proto uint8) uint8 {
	switch {
	case af == AFInet && proto == protoICMPv6:
		return protoICMP
	case af == AFInet6 && proto == protoICMP:
		return protoICMPv6
	}
	return proto
}
