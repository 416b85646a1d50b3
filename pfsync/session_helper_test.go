package pfsync_test

import "github.com/gocarp/gocarp/pfsync"

// testState is an established outbound TCP connection, no two with the same key.
func testState(id pfsync.StateID) pfsync.State {
	st := pfsync.State{
		StateID: id, AF: pfsync.AFInet, Proto: 6, Direction: pfsync.Out, Timeout: pfsync.TCPEstab,
		Src: pfsync.Peer{State: pfsync.TCPEstablished, SeqLo: 1000, SeqHi: 66000, MaxWin: 1000, MSS: 1460},
		Dst: pfsync.Peer{State: pfsync.TCPEstablished, SeqLo: 2000, SeqHi: 67000, MaxWin: 1000, MSS: 1460},
	}
	st.IfName, _ = pfsync.MakeName("all")
	st.Wire.Addr = [2]pfsync.Addr{{192, 0, 2, uint8(id.CreatorID)}, {10, uint8(id.ID >> 16), uint8(id.ID >> 8), uint8(id.ID)}}
	st.Wire.Port = [2]uint16{443, 1024}
	st.Wire.AF, st.Stack.AF = st.AF, st.AF
	st.Stack = st.Wire
	return st
}
