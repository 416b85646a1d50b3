package pfsync

// mergeRules are how the kernels differ in what they make of an update.
type mergeRules struct {
	dstSeq   bool // the responder's half is stale by its sequence number in higher states, too
	dstTwice bool // the responder's half is taken if the other one is fresh
	scrubSrc bool // scrub data makes the initiator's half take it if it had none
	scrubAny bool // and both, even if they are stale otherwise
}

// mergeRules are those of the session: OpenBSD's, which are FreeBSD's without two
// mistakes, unless the kernel is wanted as it is.
func (c *Config) mergeRules() mergeRules {
	switch {
	case !c.KernelExact:
		return mergeRules{scrubSrc: true}
	case c.Dialect == OpenBSD:
		return mergeRules{scrubSrc: true, scrubAny: true}
	}
	return mergeRules{dstSeq: true, dstTwice: true}
}

// merged is what became of an update.
type merged struct {
	stale bool // at least one half was
	taken bool // at least one half was not
}

// merge puts an update into a state (pfsync_upd, pfsync_upd_tcp). Each half is
// judged by itself and taken whole or not at all; the timeout class comes with any
// of them.
func (r mergeRules) merge(st *State, m *UpdC) (merged, Keep) {
	src, dst := m.Src.State < st.Src.State, m.Dst.State < st.Dst.State
	if st.Proto == protoTCP {
		src = staleSrc(&st.Src, &m.Src)
		dst = r.staleDst(&st.Dst, &m.Dst)
	}
	keep := KeepNothing
	if r.scrubAny && st.Src.attachScrub(&m.Src) {
		keep = KeepPeers
	}
	if r.scrubAny && st.Dst.attachScrub(&m.Dst) {
		keep = KeepPeers
	}
	if src && dst {
		return merged{stale: true}, keep
	}
	if !src {
		st.Src.take(&m.Src, r.scrubSrc)
	}
	if !dst || r.dstTwice {
		st.Dst.take(&m.Dst, true)
	}
	st.Timeout = m.Timeout
	return merged{stale: src || dst, taken: true}, KeepAll
}

// staleSrc reports whether the initiator's half is behind ours. A handshake by
// proxy is beyond all states and yet before them.
func staleSrc(ours, theirs *Peer) bool {
	if ours.State > theirs.State {
		return ours.State < TCPProxySrc || theirs.State >= TCPProxySrc
	}
	return ours.State == theirs.State && seqGreater(ours.SeqLo, theirs.SeqLo)
}

// staleDst is the same for the responder's half, where no proxy counts.
func (r mergeRules) staleDst(ours, theirs *Peer) bool {
	switch {
	case ours.State > theirs.State:
		return true
	case ours.State == theirs.State && !r.dstSeq, r.dstSeq && ours.State >= TCPListen:
		return seqGreater(ours.SeqLo, theirs.SeqLo)
	}
	return false
}

// seqGreater compares sequence numbers; at a distance of exactly 2^31 none is greater.
func seqGreater(a, b uint32) bool { return int32(a-b) > 0 }

// take copies a half. Scrub data that does not come stays; what comes is taken if
// there is a place for it, or may be one.
func (p *Peer) take(theirs *Peer, mayAttach bool) {
	scrub := p.Scrub
	if theirs.Scrub.Valid != 0 && (scrub.Valid != 0 || mayAttach) {
		scrub = theirs.Scrub.clean()
	}
	*p = *theirs
	p.Scrub = scrub
}

// attachScrub makes a place for scrub data if some comes and there is none, and
// reports whether it did.
func (p *Peer) attachScrub(theirs *Peer) bool {
	if theirs.Scrub.Valid == 0 || p.Scrub.Valid != 0 {
		return false
	}
	p.Scrub = Scrub{Valid: 1}
	return true
}

// scrubTimestamps is the only flag of scrub data that kernels keep.
const scrubTimestamps = 0x0001

// clean is s as a kernel would keep it.
func (s Scrub) clean() Scrub {
	if s.Valid == 0 {
		return Scrub{}
	}
	s.Valid = 1
	s.Flags &= scrubTimestamps
	return s
}
