package conntrack

import (
	"fmt"

	"github.com/gocarp/gocarp/pfsync"
)

// progress is how far a connection has come, in pf's words.
type progress struct {
	src, dst pfsync.Peer
	class    pfsync.Timeout
	flags    pfsync.StateFlags
}

// lifetimes are pf's defaults in seconds, of the classes that connections are in. No
// more is ever told: FreeBSD 15 reckons wrongly with what is above its default.
var lifetimes = func() (l [16]uint32) {
	for class, d := range pfsync.OpenBSD.Timeouts() {
		if int(class) < len(l) {
			l[class] = uint32(d.Seconds())
		}
	}
	return l
}()

func lifetime(class pfsync.Timeout) uint32 {
	if int(class) < len(lifetimes) {
		return lifetimes[class]
	}
	return 0
}

// progress is what a new state is told to have come to.
func (m Mapping) progress(e *Entry) (p progress, err error) {
	if e.Orig.Proto == ProtoTCP {
		return m.tcpProgress(e)
	}
	p.class, p.src.State, p.dst.State = e.stage()
	return p, nil
}

// stage is how far a connection other than TCP has come.
func (e *Entry) stage() (class pfsync.Timeout, src, dst pfsync.PeerState) {
	if isICMP(e.Orig.Proto) {
		return pfsync.ICMPFirst, 0, 0
	}
	class = pfsync.UDPFirst
	if e.Orig.Proto != ProtoUDP {
		class = pfsync.OtherFirst
	}
	switch {
	case e.Status&StatusAssured != 0:
		return class + 2, pfsync.Multiple, pfsync.Multiple
	case e.Status&StatusSeenReply != 0:
		return class + 1, pfsync.Multiple, pfsync.Single
	}
	return class, pfsync.Single, pfsync.NoTraffic
}

// renew puts into a state that the peers know how far its connection has come here,
// and reports whether that is news. What is in the state of windows and sequence
// numbers stays, and neither side ever goes back: the peers would not believe it.
func (m Mapping) renew(e *Entry, st *pfsync.State) (news bool) {
	class, src, dst := e.stage()
	if e.Orig.Proto == ProtoTCP {
		class, src, dst = e.tcpStage(st.Flags&pfsync.FlagSloppy != 0)
	}
	src, dst = max(src, st.Src.State), max(dst, st.Dst.State)
	if class < st.Timeout { // an event that is older than what a peer has told since
		class = st.Timeout
	}
	news = class != st.Timeout || src != st.Src.State || dst != st.Dst.State
	st.Timeout, st.Src.State, st.Dst.State = class, src, dst
	return news
}

// count puts into a state what the kernel has counted, if it counts; never less than what
// is there, as the kernel begins anew with an entry that it is given.
func (e *Entry) count(st *pfsync.State) {
	for dir, c := range e.Counters {
		st.Packets[dir], st.Bytes[dir] = max(st.Packets[dir], c.Packets), max(st.Bytes[dir], c.Bytes)
	}
}

// advance takes in what one of the states of e says. Of two, the one that has come
// further is right.
func (e *Entry) advance(st *pfsync.State) error {
	e.Status |= StatusConfirmed
	switch {
	case e.Orig.Proto == ProtoTCP:
		return e.advanceTCP(st)
	case isICMP(e.Orig.Proto):
		// Only queries that were answered are told, and an answer that is not known
		// here of one that a pf peer tells does no harm.
		e.Status |= StatusSeenReply
	case st.Dst.State >= pfsync.Multiple && st.Src.State >= pfsync.Multiple:
		e.Status |= StatusSeenReply | StatusAssured
	case st.Dst.State > pfsync.NoTraffic:
		e.Status |= StatusSeenReply
	}
	return nil
}

// What pf is told of the windows of a TCP connection, which conntrack does not
// tell us: nothing was seen yet, and this much may come in one direction before
// something comes in the other.
const (
	pickUpSeqHi  = 1
	pickUpWindow = 256 << 10
	wscaleKnown  = 0x80
	wscaleMask   = 0x0f
)

// tcpProgress tells pf of a connection that runs as of one whose next packets are to
// be believed (encoding c of the captures); or, if it is not known by how much
// windows are scaled, as of one that is not to be looked at closely (encoding a).
func (m Mapping) tcpProgress(e *Entry) (p progress, err error) {
	if e.TCP.State == TCPNone || int(e.TCP.State) >= len(tcpStateNames) {
		return p, fmt.Errorf("%w: TCP state %v", ErrUnmapped, e.TCP.State)
	}
	flags := e.TCP.Flags
	scaled := flags[DirOrig]&flags[DirReply]&TCPWindowScale != 0
	// Who was met in mid-stream, or put there by a peer, is liberal.
	unknown := !scaled && (flags[DirOrig]|flags[DirReply])&TCPLiberal != 0
	if m.Sloppy || unknown {
		p.flags = pfsync.FlagSloppy
	} else {
		for dir, peer := range [...]*pfsync.Peer{&p.src, &p.dst} {
			var shift uint8
			if scaled {
				shift = min(e.TCP.WScale[dir], maxWScale)
				peer.WScale = shift | wscaleKnown
			}
			peer.SeqHi = pickUpSeqHi
			peer.MaxWin = uint16(min(max(pickUpWindow>>shift, 1), 0xffff))
		}
	}
	p.class, p.src.State, p.dst.State = e.tcpStage(p.flags != 0)
	return p, nil
}

// tcpStage is how far a TCP connection has come. The class says so to our own kind;
// what pf makes of the states is, unless it does not look at sequence numbers, a
// trap: with any but CLOSED it believes in the numbers, which are 0. So it is told
// only of the end.
func (e *Entry) tcpStage(sloppy bool) (class pfsync.Timeout, src, dst pfsync.PeerState) {
	closer, other := &src, &dst
	if e.TCP.Flags[DirReply]&^e.TCP.Flags[DirOrig]&TCPCloseInit != 0 {
		closer, other = other, closer
	}
	switch e.TCP.State {
	case TCPSynSent:
		class, src = pfsync.TCPFirst, pfsync.TCPSynSent
	case TCPSynSent2:
		class, src, dst = pfsync.TCPOpening, pfsync.TCPSynSent, pfsync.TCPSynSent
	case TCPSynRecv:
		class, src, dst = pfsync.TCPOpening, pfsync.TCPEstablished, pfsync.TCPSynSent
	case TCPEstablished:
		class, src, dst = pfsync.TCPEstab, pfsync.TCPEstablished, pfsync.TCPEstablished
	case TCPFinWait:
		class, *closer, *other = pfsync.TCPClose, pfsync.TCPClosing, pfsync.TCPEstablished
	case TCPCloseWait:
		class, *closer, *other = pfsync.TCPClose, pfsync.TCPFinWait2, pfsync.TCPEstablished
	case TCPLastAck:
		class, *closer, *other = pfsync.TCPFinWait, pfsync.TCPFinWait2, pfsync.TCPClosing
	case TCPTimeWait:
		return pfsync.TCPClosedTimeout, pfsync.TCPFinWait2, pfsync.TCPFinWait2
	case TCPClose:
		return pfsync.TCPClosedTimeout, pfsync.TCPTimeWait, pfsync.TCPTimeWait
	}
	if !sloppy {
		return class, pfsync.TCPClosed, pfsync.TCPClosed
	}
	return class, src, dst
}

// byClass is what a state says whose sides are both CLOSED, as we tell it.
var byClass = map[pfsync.Timeout]TCPState{
	pfsync.TCPFirst: TCPSynSent, pfsync.TCPOpening: TCPSynRecv, pfsync.TCPEstab: TCPEstablished,
	pfsync.TCPClose: TCPFinWait, pfsync.TCPFinWait: TCPLastAck, pfsync.TCPClosedTimeout: TCPTimeWait,
}

func (e *Entry) advanceTCP(st *pfsync.State) error {
	state, closer, err := tcpState(st)
	if err != nil {
		return err
	}
	if e.TCP.State.before(state) {
		e.TCP.State = state
	}
	var flags [2]TCPFlags
	scaled := st.Src.WScale&st.Dst.WScale&wscaleKnown != 0
	for dir, peer := range [...]*pfsync.Peer{&st.Src, &st.Dst} {
		flags[dir] = TCPSACK | TCPLiberal
		if scaled {
			flags[dir] |= TCPWindowScale
			e.TCP.WScale[dir] = min(peer.WScale&wscaleMask, maxWScale)
		}
		e.TCP.Flags[dir] |= flags[dir]
	}
	if closer >= 0 {
		e.TCP.Flags[closer] |= TCPCloseInit
	}
	switch e.TCP.State {
	case TCPSynSent, TCPSynSent2:
	case TCPSynRecv:
		e.Status |= StatusSeenReply
	default:
		e.Status |= StatusSeenReply | StatusAssured
	}
	return nil
}

// tcpState is pf's two states as conntrack's one, and who has closed first, or -1.
func tcpState(st *pfsync.State) (state TCPState, closer int, err error) {
	src, dst := st.Src.State, st.Dst.State
	low, high := min(src, dst), max(src, dst)
	closer = -1
	if high >= pfsync.TCPClosing && low < high {
		closer = DirOrig
		if dst > src {
			closer = DirReply
		}
	}
	switch {
	case high >= pfsync.TCPProxySrc:
		return 0, -1, fmt.Errorf("%w: a handshake by proxy", ErrUnmapped)
	case high == pfsync.TCPClosed:
		pickUp := st.Src.SeqHi == pickUpSeqHi && st.Dst.SeqHi == pickUpSeqHi
		if state = byClass[st.Timeout]; state == TCPNone || !pickUp && st.Flags&pfsync.FlagSloppy == 0 {
			return 0, -1, fmt.Errorf("%w: both sides of a TCP connection are CLOSED", ErrUnmapped)
		}
		return state, -1, nil
	case low >= pfsync.TCPTimeWait:
		return TCPClose, -1, nil
	case low >= pfsync.TCPFinWait2:
		return TCPTimeWait, -1, nil
	case low >= pfsync.TCPClosing:
		return TCPLastAck, closer, nil
	case high >= pfsync.TCPFinWait2:
		return TCPCloseWait, closer, nil
	case high >= pfsync.TCPClosing:
		return TCPFinWait, closer, nil
	case low >= pfsync.TCPSynReceived:
		return TCPEstablished, -1, nil
	case high >= pfsync.TCPSynReceived:
		return TCPSynRecv, -1, nil
	case low >= pfsync.TCPSynSent:
		return TCPSynSent2, -1, nil
	}
	return TCPSynSent, -1, nil
}

// before reports whether a connection in state s may still come to state o. From
// the first on it never goes back.
func (s TCPState) before(o TCPState) bool { return s.rank() < o.rank() }

// rank puts the states in the order of a connection's life.
func (s TCPState) rank() int {
	switch s {
	case TCPNone:
		return 0
	case TCPSynSent:
		return 1
	case TCPSynSent2:
		return 2
	}
	return int(s) + 1
}
