package conntrack

import "testing"

// FuzzEntry reads anything as a message. What can be read must be the same
// whatever the entry was before, and must come back from the messages made of it.
func FuzzEntry(f *testing.F) {
	for _, e := range sample() {
		f.Add(fromKernel(&e))
		b, err := AppendCreate(nil, 1, &e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[nlHeaderLen:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Entry
		dirty := full()
		err := e.UnmarshalBinary(b[:len(b):len(b)])
		err2 := dirty.UnmarshalBinary(append(b[:len(b):len(b)], 0xff, 0xff, 0xff, 0xff)[:len(b)])
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%x: %v, but %v over another entry", b, err, err2)
		}
		if err != nil {
			if (e != Entry{} || dirty != full()) {
				t.Fatalf("%x: %v, yet it changed the entry", b, err)
			}
			return
		}
		if e != dirty {
			t.Fatalf("%x: %+v, but over another entry %+v", b, e, dirty)
		}
		_ = e.String()

		again, err := AppendCreate(nil, 1, &e)
		if err != nil {
			return // nobody may ask for that
		}
		var got Entry
		if err := got.UnmarshalBinary(again[nlHeaderLen:]); err != nil {
			t.Fatalf("%x made of %x: %v", again, b, err)
		}
		want := normal(e)
		if got != want {
			t.Fatalf("%x made of %x:\n got %+v\nwant %+v", again, b, got, want)
		}
	})
}

// normal is what a message that creates e says of it, apart from its translation.
func normal(e Entry) Entry {
	e.Reply = e.Orig.Inverse()
	e.Status = e.Status&statusSettable | StatusConfirmed
	tcp := e.TCP
	e.TCP = TCP{}
	if e.Orig.Proto == ProtoTCP {
		e.TCP.State = tcp.State
		for dir, flags := range tcp.Flags {
			e.TCP.Flags[dir] = flags&tcpFlagsSettable | TCPLiberal
			if tcp.Flags[DirOrig]&tcp.Flags[DirReply]&TCPWindowScale != 0 {
				e.TCP.WScale[dir] = min(tcp.WScale[dir], maxWScale)
			}
		}
	}
	if e.Zone == 0 {
		e.ZoneDir = ZoneBoth
	}
	e.ID, e.Start, e.Counters = 0, 0, [2]Counters{}
	return e
}
