package main

import "github.com/gocarp/gocarp/pfsync"

// track takes a packet into account in one of its states, and has the other firewall
// told. It reports false if the packet cannot be one of that connection.
func (fw *firewall) track(id pfsync.StateID, p *packet, arriving bool) bool {
	fits := false
	fw.states.Update(fw.w.net.Now(), id, func(st *pfsync.State) pfsync.Keep {
		src, dst := &st.Src, &st.Dst
		if arriving != (st.Direction == pfsync.In) { // the responder's
			src, dst = dst, src
		}
		if st.Proto == protoTCP && !trackTCP(st, src, dst, p) {
			return pfsync.KeepNothing
		}
		if st.Proto == protoUDP {
			trackUDP(st, src, dst)
		}
		fits = true
		return pfsync.KeepAll
	})
	if fits {
		fw.sync.step(pfsync.Event{Kind: pfsync.EventUpdate, ID: id, Proto: p.proto})
	}
	return fits
}

// trackUDP takes a datagram from src to dst into account.
func trackUDP(st *pfsync.State, src, dst *pfsync.Peer) {
	opened := src.State != pfsync.NoTraffic || dst.State != pfsync.NoTraffic
	src.State = max(src.State, pfsync.Single)
	if dst.State == pfsync.Single {
		dst.State = pfsync.Multiple
	}
	switch {
	case src.State == pfsync.Multiple && dst.State == pfsync.Multiple:
		st.Timeout = pfsync.UDPMultiple
	case opened:
		st.Timeout = pfsync.UDPSingle
	}
}

// maxAckWindow is how far an acknowledgement may be from what was sent
// (MAXACKWINDOW): the largest window, and a packet.
const maxAckWindow = 0xffff + 1500

// trackTCP takes a segment from src to dst into account, if it is within the window
// (pf_tcp_track_full, without what scaled windows and closing take). After a failover
// the state is as old as the last update: what was sent since then is in the window,
// since the windows are larger than that.
func trackTCP(st *pfsync.State, src, dst *pfsync.Peer, p *packet) bool {
	end := p.seq + p.length()
	if src.State < pfsync.TCPSynSent { // the first one of this side
		if p.flags&flagSYN == 0 {
			return false
		}
		src.State = pfsync.TCPSynSent
		src.SeqLo, src.SeqHi, src.MaxWin = end, end+uint32(max(dst.MaxWin, 1)), p.window
	}
	acks := p.flags&flagACK != 0
	skew := int32(dst.SeqLo - p.ack)
	switch {
	case after(end, src.SeqHi), after(src.SeqLo-uint32(dst.MaxWin), p.seq) && p.flags&flagSYN == 0:
		return false
	case acks && (skew > maxAckWindow || skew < -maxAckWindow):
		return false
	}
	src.MaxWin = max(src.MaxWin, p.window)
	if after(end, src.SeqLo) {
		src.SeqLo = end
	}
	if acks {
		if hi := p.ack + uint32(max(p.window, 1)); after(hi, dst.SeqHi) {
			dst.SeqHi = hi
		}
		if dst.State == pfsync.TCPSynSent {
			dst.State = pfsync.TCPEstablished
		}
	}
	st.Timeout = pfsync.TCPOpening
	if src.State == pfsync.TCPEstablished && dst.State == pfsync.TCPEstablished {
		st.Timeout = pfsync.TCPEstab
	}
	return true
}

// after compares sequence numbers, which begin again at 0.
func after(a, b uint32) bool { return int32(a-b) > 0 }
