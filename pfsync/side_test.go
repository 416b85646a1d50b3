package pfsync

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSideMessagesRoundTrip(t *testing.T) {
	h := sideHeader{sideList, 0xaabbccdd, 0x1122334455667788}
	var gotH sideHeader
	body, err := gotH.parse(append(h.append(nil), 1, 2))
	if err != nil || gotH != h || len(body) != 2 {
		t.Errorf("header: %+v %v %v", gotH, body, err)
	}
	he, gotHe := helloMsg{1, 2, 3, 4}, helloMsg{}
	if err := gotHe.parse(he.append(nil)); err != nil || gotHe != he {
		t.Errorf("hello: %+v %v", gotHe, err)
	}
	d, gotD := digestsMsg{round: 9, group: 63}, digestsMsg{}
	d.row[0], d.row[63] = 1, 1<<63
	if err := gotD.parse(d.append(nil)); err != nil || gotD != d {
		t.Errorf("digests: %+v %v", gotD, err)
	}
	l := listMsg{round: 1, bucket: DigestBuckets - 1, to: lastID, entries: []listEntry{
		{id: StateID{1, 2}, digest: 5, idle: 300 * time.Millisecond},
		{id: StateID{1, 3}, removed: true, idle: 6553500 * time.Millisecond},
	}}
	var gotL listMsg
	if err := gotL.parse(l.append(nil)); err != nil || !cmp.Equal(gotL, l, cmp.AllowUnexported(listMsg{}, listEntry{})) {
		t.Errorf("list: %+v %v", gotL, err)
	}
	r, gotR := resultMsg{1, 2, 3}, resultMsg{}
	if err := gotR.parse(r.append(nil)); err != nil || gotR != r {
		t.Errorf("result: %+v %v", gotR, err)
	}
	spans := []span{{1, 2}, {5, 5}}
	if got, err := parseSpans(appendSpans(nil, spans)); err != nil || !cmp.Equal(got, spans, cmp.AllowUnexported(span{})) {
		t.Errorf("spans: %v %v", got, err)
	}
}

func TestSideListFitsItsDatagram(t *testing.T) {
	l := listMsg{to: lastID, entries: make([]listEntry, listMax)}
	for i := range l.entries {
		l.entries[i].id.ID = uint64(i)
	}
	b := l.append(sideHeader{kind: sideList}.append(nil))
	if len(b) > SideMTU || len(b)+entryLen <= SideMTU {
		t.Errorf("%d entries make %d octets, want as many as fit in %d", listMax, len(b), SideMTU)
	}
	if d := (&digestsMsg{}).append(sideHeader{}.append(nil)); len(d) > SideMTU {
		t.Errorf("digests make %d octets", len(d))
	}
}

func TestSideRefuses(t *testing.T) {
	good := (&listMsg{to: lastID, entries: []listEntry{{id: StateID{1, 1}}, {id: StateID{2, 1}}}}).append(nil)
	bad := func(change func([]byte)) []byte {
		b := append([]byte(nil), good...)
		change(b)
		return b
	}
	for name, b := range map[string][]byte{
		"short":        good[:listHeadLen-1],
		"half entry":   good[:len(good)-1],
		"bucket":       bad(func(b []byte) { b[4] = 0xff }),
		"range":        bad(func(b []byte) { clear(b[20:32]); b[8] = 1 }),
		"order":        bad(func(b []byte) { b[listHeadLen+7] = 9 }),
		"out of range": bad(func(b []byte) { b[15] = 2 }),
	} {
		if err := new(listMsg).parse(b); err == nil {
			t.Errorf("list, %s: taken", name)
		}
	}
	for name, b := range map[string][]byte{
		"empty": nil, "half": make([]byte, 15), "too many": make([]byte, 16*(maxSpans+1)),
	} {
		if _, err := parseSpans(b); err == nil {
			t.Errorf("spans, %s: taken", name)
		}
	}
	var h sideHeader
	for name, b := range map[string][]byte{
		"short": make([]byte, 19), "magic": make([]byte, 20),
		"version": append([]byte{0x67, 0x63, 0x70, 0x73, 2}, make([]byte, 15)...),
	} {
		if _, err := h.parse(b); err == nil {
			t.Errorf("header, %s: taken", name)
		}
	}
	if err := new(digestsMsg).parse(make([]byte, 100)); err == nil {
		t.Error("short digests: taken")
	}
	if _, err := parseIDs(make([]byte, 13)); err == nil {
		t.Error("half an id: taken")
	}
}
