package conntrack

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fromKernel is an entry as the kernel tells of it: everything in it, in the
// order of Linux 6.18, with attributes that an Entry has no field for.
func fromKernel(e *Entry) []byte {
	b := []byte{familyIPv4, 0, 0, 0}
	b = e.appendTuple(b, ctaTupleOrig, e.Orig, ZoneOrig)
	b = e.appendTuple(b, ctaTupleReply, e.Reply, ZoneReply)
	b = e.appendZone(b)
	b = appendUint32(b, ctaStatus, uint32(e.Status))
	b = appendUint32(b, ctaTimeout, e.Timeout)
	for dir, c := range e.Counters {
		var off int
		b, off = openAttr(b, uint16(ctaCountersOrig+dir))
		b = binary.BigEndian.AppendUint64(appendAttr(b, ctaCountersPackets, 8), c.Packets)
		b = binary.BigEndian.AppendUint64(appendAttr(b, ctaCountersBytes, 8), c.Bytes)
		closeAttr(b, off)
	}
	b, off := openAttr(b, ctaTimestamp)
	b = binary.BigEndian.AppendUint64(appendAttr(b, ctaTimestampStart, 8), uint64(e.Start))
	closeAttr(b, off)
	if e.Orig.Proto == ProtoTCP {
		var tcp int
		b, off = openAttr(b, ctaProtoInfo)
		b, tcp = openAttr(b, ctaProtoInfoTCP)
		b = appendUint8(b, ctaTCPState, uint8(e.TCP.State))
		b = appendUint8(b, ctaTCPWScaleOrig, e.TCP.WScale[DirOrig])
		b = appendUint8(b, ctaTCPWScaleReply, e.TCP.WScale[DirReply])
		b = appendUint16(b, ctaTCPFlagsOrig, uint16(e.TCP.Flags[DirOrig])<<8)
		b = appendUint16(b, ctaTCPFlagsReply, uint16(e.TCP.Flags[DirReply])<<8)
		closeAttr(b, tcp)
		closeAttr(b, off)
	}
	b, off = openAttr(b, 5) // HELP
	b = append(appendAttr(b, 1, 4), "ftp\x00"...)
	closeAttr(b, off)
	b = appendUint32(b, ctaMark, e.Mark)
	b = appendUint32(b, ctaID, e.ID)
	b = appendUint32(b, 11, 1) // USE
	b = e.SeqAdj[DirOrig].appendTo(b, ctaSeqAdjOrig)
	b = e.SeqAdj[DirReply].appendTo(b, ctaSeqAdjReply)
	return b
}

// full is an entry with no field at zero.
func full() Entry {
	e := sample()["sequence adjustment"]
	e.Mark, e.Zone, e.ZoneDir, e.ID, e.Start = 1, 2, ZoneReply, 3, 4
	e.Counters = [2]Counters{{1 << 40, 2 << 40}, {3, 4}}
	return e
}

var entryDiff = cmpopts.EquateComparable(Entry{})

func TestDecode(t *testing.T) {
	t.Parallel()
	entries := sample()
	entries["full"] = full()
	for name, want := range entries {
		b := fromKernel(&want)
		got := full()
		got.Timeout = 4711
		if err := got.UnmarshalBinary(b); err != nil || got != want {
			t.Errorf("%s: over another entry: %v\n(-want +got):\n%s", name, err, cmp.Diff(want, got, entryDiff))
		}
		spare := slices.Concat(b, []byte{0xff, 0xff, 0xff, 0xff})
		if err := got.UnmarshalBinary(spare[:len(b)]); err != nil || got != want {
			t.Errorf("%s: with octets behind: %v %+v", name, err, got)
		}
		// Whatever is missing, it must not be made up.
		for n := range b {
			got := full()
			switch err := got.UnmarshalBinary(b[:n:n]); {
			case err != nil && !errors.Is(err, ErrMalformed):
				t.Errorf("%s: cut to %d octets: %v", name, n, err)
			case err != nil && got != full():
				t.Errorf("%s: cut to %d octets: %v, yet it changed the entry", name, n, err)
			case err == nil && (got.Orig != want.Orig || got.Reply != want.Reply):
				t.Errorf("%s: cut to %d octets: %v", name, n, &got)
			}
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	e := tcp4(1)
	whole := fromKernel(&e)
	orig := e.appendTuple([]byte{familyIPv4, 0, 0, 0}, ctaTupleOrig, e.Orig, ZoneOrig)
	// within makes nested attributes of the given types, with b in the innermost.
	within := func(b []byte, types ...uint16) []byte {
		for _, typ := range slices.Backward(types) {
			b = append(appendAttr(nil, typ|attrNested, len(b)), b...)
		}
		return b
	}
	for _, row := range []struct {
		b    []byte
		want string
	}{
		{nil, "0 octets"},
		{[]byte{familyIPv4, 0, 0, 0}, "no TUPLE_ORIG"},
		{orig, "no TUPLE_REPLY"},
		{append(slices.Clone(whole), 1), "1 stray octets behind the attributes"},
		{append(slices.Clone(whole), within(nil, ctaTimeout)...), "TIMEOUT: 0 octets, want 4"},
		{append(slices.Clone(whole), within([]byte{1, 2, 3, 4, 5, 6, 7, 8}, ctaMark)...), "MARK: 8 octets, want 4"},
		{append(slices.Clone(whole), 3, 0, ctaZone, 0), "ZONE: length 3, there are 4 octets"},
		{append(slices.Clone(whole), 9, 0, 99, 0), "attribute 99: length 9, there are 4 octets"},
		{append(slices.Clone(whole), within(appendUint8(nil, ctaTCPState, 1)[:4], ctaProtoInfo, ctaProtoInfoTCP)...), "PROTOINFO: TCP: STATE: length 5, there are 4 octets"},
		{append(slices.Clone(whole), within(appendUint8(nil, ctaTCPFlagsOrig, 1), ctaProtoInfo, ctaProtoInfoTCP)...), "PROTOINFO: TCP: FLAGS_ORIGINAL: 1 octets, want 2"},
		{append(slices.Clone(whole), within(appendUint32(nil, ctaCountersBytes, 1), ctaCountersReply)...), "COUNTERS_REPLY: BYTES: 4 octets, want 8"},
		{append(slices.Clone(whole), within(appendUint32(nil, ctaTimestampStart, 1), ctaTimestamp)...), "TIMESTAMP: START: 4 octets, want 8"},
		{append(slices.Clone(whole), within(appendUint8(nil, ctaSeqAdjPos, 1), ctaSeqAdjOrig)...), "SEQ_ADJ_ORIG: CORRECTION_POS: 1 octets, want 4"},
		{append(slices.Clone(whole), within(appendUint32(nil, ctaIPv6Src, 1), ctaTupleReply, ctaTupleIP)...), "TUPLE_REPLY: IP: V6_SRC: 4 octets, want 16"},
		{append(slices.Clone(whole), within(appendUint16(nil, ctaIPv4Dst, 1), ctaTupleOrig, ctaTupleIP)...), "TUPLE_ORIG: IP: V4_DST: 2 octets, want 4"},
		{append(slices.Clone(whole), within(appendUint32(nil, ctaProtoSrcPort, 1), ctaTupleOrig, ctaTupleProto)...), "TUPLE_ORIG: PROTO: SRC_PORT: 4 octets, want 2"},
		{append(slices.Clone(whole), within(appendUint32(nil, ctaTupleZone, 1), ctaTupleOrig)...), "TUPLE_ORIG: ZONE: 4 octets, want 2"},
		{append(slices.Clone(whole), within(appendAddr(nil, ctaIPv4Src, ctaIPv6Src, tcp6(1).Orig.Src), ctaTupleOrig, ctaTupleIP)...), "TUPLE_ORIG: not two addresses of one family"},
	} {
		was := full()
		got := was
		err := got.UnmarshalBinary(row.b)
		if !errors.Is(err, ErrMalformed) || got != was {
			t.Errorf("%s: %v, %v", row.want, err, &got)
			continue
		}
		if want := "conntrack: malformed message: " + row.want; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	e := full()
	b := fromKernel(&e)
	var got Entry
	if n := testing.AllocsPerRun(100, func() { got.UnmarshalBinary(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
