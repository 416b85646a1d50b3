package pfsync_test

import (
	"encoding/hex"
	"fmt"

	"github.com/gocarp/gocarp/pfsync"
)

// A frame of OpenBSD that asks for the whole table, and what it says.
func ExampleParse() {
	payload, _ := hex.DecodeString("060000240000000000000000000000000000000005030001000000000000000000000000")
	f, err := pfsync.Parse(pfsync.OpenBSD, payload)
	for s := range f.Sections() {
		for msg := range s.Messages() {
			var id pfsync.StateID
			if err := id.UnmarshalBinary(msg); err != nil {
				fmt.Println(err)
			}
			fmt.Println(s.Name(), id)
		}
	}
	fmt.Println(err)
	// Output:
	// UPD_REQ 0000000000000000/00000000
	// <nil>
}

// Deletions for a FreeBSD, as many as fit a packet.
func ExampleWriter() {
	w := pfsync.NewWriter(pfsync.FreeBSD14, 0, 1500)
	for n := range uint64(200) {
		id := pfsync.StateID{ID: n, CreatorID: 1}
		if !w.DelC(id) {
			fmt.Println(n, "deletions in", len(w.Bytes()), "octets")
			w.Reset(nil)
			w.DelC(id)
		}
	}
	fmt.Println(len(w.Bytes()), "octets for the rest")
	// Output:
	// 119 deletions in 1456 octets
	// 1000 octets for the rest
}
