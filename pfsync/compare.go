package pfsync

import (
	"math"
	"net/netip"
	"slices"
	"time"
)

// A comparison goes through the digests of the groups of buckets, those of the
// buckets of the groups that differ, and the states of the buckets that differ.
// The node with the lower epoch begins it; the other judges, bucket by bucket, and
// reports. A message that is lost leaves its buckets for the next comparison.

const (
	// listBurst is the number of buckets listed at once, and listPause how long to
	// wait for the results before the next ones.
	listBurst = 16
	listPause = 50 * time.Millisecond

	// roundEnd is how long nothing must have come of a comparison for it to be over.
	roundEnd = 500 * time.Millisecond

	// futileRate is how many states a second may differ, time after time, on average:
	// those that a peer cannot take in, since its table is full or has others in
	// their place. Comparisons are rarer then, but not rarer than futilePause.
	futileRate  = 1000
	futilePause = 5 * time.Minute

	// resyncPause is the least time between two requests for the whole table.
	resyncPause = time.Minute
)

// A convergePeer is what is known of a peer.
type convergePeer struct {
	addr   netip.Addr
	epoch  uint64 // 0 until it was heard
	echoed bool   // it knows our epoch
	heard  time.Time
	gaps   gaps

	unacked int    // frames since the last ack of ours
	acked   uint64 // the last frame of ours that it has, or that is not waited for any more
	lastAck uint64 // the last that it says it has
	ackedAt time.Time

	compareAt time.Time // when to compare, if anything is to be compared
	restUntil time.Time // not to compare before
	answerAt  time.Time // not to answer a comparison before
	resyncAt  time.Time // not to ask for the whole table before
	round     uint32
	roundEnd  time.Time // zero: no comparison is on
	listAt    time.Time
	unjudged  int      // lists whose result is missing, or digests that no list has followed
	listing   []uint16 // buckets to list
	answered  bool     // something came of this round
	missed    bool     // and something did not
	differ    int      // of it
	flowing   int
	differed  int // in the round before

	status ConvergeStatus
}

func (p *convergePeer) known() bool { return p.epoch != 0 }
func (p *convergePeer) met() bool   { return p.epoch != 0 && p.echoed }

// lose forgets a peer that is gone.
func (p *convergePeer) lose() {
	*p = convergePeer{addr: p.addr, round: p.round, resyncAt: p.resyncAt,
		gaps: gaps{lost: p.gaps.lost}, status: ConvergeStatus{Peer: p.addr}}
}

// agree takes note that the tables are the same.
func (p *convergePeer) agree(now time.Time) {
	p.compareAt, p.roundEnd, p.listing, p.differed = time.Time{}, time.Time{}, nil, 0
	p.status.Agreement, p.status.Differ, p.status.Flowing, p.status.At = Identical, 0, 0, now
}

// work does what is due with a peer and says when there is more.
func (v *Converger) work(now time.Time, p *convergePeer) {
	if !p.met() {
		return
	}
	spans, ok := p.gaps.ask(now, nil)
	if spans != nil {
		v.send(p, sideNack, func(b []byte) []byte { return appendSpans(b, spans) })
	}
	if !ok {
		p.compareAt = now
	}
	if !p.roundEnd.IsZero() && !now.Before(p.roundEnd) {
		v.conclude(now, p)
	}
	if len(p.listing) > 0 && (p.unjudged == 0 || !now.Before(p.listAt)) {
		v.listNext(now, p)
	}
	if at := p.compareDue(); v.leads(p) && !at.IsZero() && !now.Before(at) && p.roundEnd.IsZero() {
		if v.hold {
			p.compareAt = now.Add(v.cfg.Settle)
		} else {
			v.compare(now, p)
		}
	}
	v.wake(p.gaps.due())
	v.wake(p.roundEnd)
	if len(p.listing) > 0 {
		v.wake(p.listAt)
	}
	if v.leads(p) && p.roundEnd.IsZero() {
		v.wake(p.compareDue())
	}
}

// compareDue is when to compare next, zero if nothing is to be compared.
func (p *convergePeer) compareDue() time.Time {
	if !p.compareAt.IsZero() && p.compareAt.Before(p.restUntil) {
		return p.restUntil
	}
	return p.compareAt
}

// wake makes Timer to be called at t, if not earlier.
func (v *Converger) wake(t time.Time) {
	if !t.IsZero() && (v.out.Deadline.IsZero() || t.Before(v.out.Deadline)) {
		v.out.Deadline = t
	}
}

// leads says which of two nodes begins.
func (v *Converger) leads(p *convergePeer) bool { return v.cfg.Epoch < p.epoch }

// compare begins a comparison. A table that is much too small is not compared: the
// whole of the other is asked for.
func (v *Converger) compare(now time.Time, p *convergePeer) {
	if p.status.States > 2*v.store.Len()+1000 && !now.Before(p.resyncAt) {
		v.out.Resync = true
		p.resyncAt = now.Add(resyncPause)
		p.compareAt = now.Add(v.cfg.Pause)
		return
	}
	p.round++
	p.answered, p.missed, p.unjudged, p.differ, p.flowing = false, false, 0, 0, 0
	p.roundEnd = now.Add(roundEnd)
	m := digestsMsg{round: p.round}
	for g, row := range v.rows() {
		m.row[g] = fold(row[:])
	}
	v.send(p, sideGroups, m.append)
}

// rows are the digests of all buckets, by group.
func (v *Converger) rows() *[groupCount][groupSize]uint64 {
	var buckets [DigestBuckets]uint64
	v.store.Digest(&buckets)
	rows := new([groupCount][groupSize]uint64)
	for i, d := range buckets {
		rows[i/groupSize][i%groupSize] = d
	}
	return rows
}

// groups answers with the buckets of the groups that differ.
func (v *Converger) groups(now time.Time, p *convergePeer, b []byte) error {
	var m digestsMsg
	if err := m.parse(b); err != nil {
		return err
	}
	if v.hold || now.Before(p.answerAt) {
		return nil // the answer may be 64 times as long as the question
	}
	p.round, p.answered, p.missed, p.unjudged, p.differ, p.flowing = m.round, true, false, 0, 0, 0
	p.roundEnd = now.Add(roundEnd)
	p.answerAt = p.roundEnd
	if p.status.States > 2*v.store.Len()+1000 && !now.Before(p.resyncAt) {
		v.out.Resync = true
		p.resyncAt = now.Add(resyncPause)
	}
	for g, row := range v.rows() {
		if fold(row[:]) != m.row[g] {
			d := digestsMsg{round: m.round, group: uint8(g), row: row}
			v.send(p, sideBuckets, d.append)
			p.unjudged = 1
		}
	}
	return nil
}

// buckets takes note of the buckets that differ, to be listed.
func (v *Converger) buckets(p *convergePeer, b []byte) error {
	var m digestsMsg
	if err := m.parse(b); err != nil {
		return err
	}
	if m.round != p.round || p.roundEnd.IsZero() {
		return nil // of a comparison that is over
	}
	p.answered = true
	for i, d := range v.rows()[m.group] {
		bucket := uint16(m.group)*groupSize + uint16(i)
		if d != m.row[i] && !slices.Contains(p.listing, bucket) {
			p.listing = append(p.listing, bucket)
		}
	}
	return nil
}

// listNext lists the next buckets.
func (v *Converger) listNext(now time.Time, p *convergePeer) {
	n := min(listBurst, len(p.listing))
	p.missed, p.unjudged = p.missed || p.unjudged > 0, 0
	p.roundEnd = now.Add(roundEnd)
	p.listAt = now.Add(listPause)
	for i, entries := range v.entries(now, p.listing[:n]) {
		m := listMsg{round: p.round, bucket: p.listing[i]}
		for {
			part := entries[:min(len(entries), listMax)]
			entries = entries[len(part):]
			m.to, m.entries = lastID, part
			if len(entries) > 0 {
				m.to = part[len(part)-1].id
			}
			v.send(p, sideList, m.append)
			p.unjudged++
			if len(entries) == 0 {
				break
			}
			m.from = m.to.next()
		}
	}
	p.listing = slices.Delete(p.listing, 0, n)
}

// next is the identity behind id.
func (id StateID) next() StateID {
	id.CreatorID++
	if id.CreatorID == 0 {
		id.ID++
	}
	return id
}

// entries are what is in some buckets, and what was, in order.
func (v *Converger) entries(now time.Time, buckets []uint16) [][]listEntry {
	lists := make([][]listEntry, len(buckets))
	for i, b := range buckets {
		v.store.Bucket(now, int(b), func(id StateID, digest uint64, idle time.Duration) {
			lists[i] = append(lists[i], listEntry{id: id, digest: uint32(digest), idle: idle})
		})
		v.graves.each(now, int(b), func(id StateID, ago time.Duration) {
			lists[i] = append(lists[i], listEntry{id: id, idle: ago, removed: true})
		})
	}
	for i, l := range lists {
		slices.SortStableFunc(l, func(a, b listEntry) int {
			if a.id.before(b.id) {
				return -1
			}
			if b.id.before(a.id) {
				return 1
			}
			return 0
		})
		lists[i] = slices.CompactFunc(l, func(a, b listEntry) bool { return a.id == b.id })
	}
	return lists
}

// list judges a part of a bucket: what differs is sent, or asked for.
func (v *Converger) list(now time.Time, p *convergePeer, b []byte) error {
	var m listMsg
	if err := m.parse(b); err != nil {
		return err
	}
	if m.round != p.round {
		return nil
	}
	p.unjudged = 0
	ours := v.entries(now, []uint16{m.bucket})[0]
	ours = slices.DeleteFunc(ours, func(e listEntry) bool { return e.id.before(m.from) || m.to.before(e.id) })
	var res resultMsg
	var want []StateID
	for len(ours) > 0 || len(m.entries) > 0 {
		var mine, theirs *listEntry
		if len(ours) > 0 && (len(m.entries) == 0 || !m.entries[0].id.before(ours[0].id)) {
			mine = &ours[0]
		}
		if len(m.entries) > 0 && (len(ours) == 0 || !ours[0].id.before(m.entries[0].id)) {
			theirs = &m.entries[0]
		}
		if mine != nil {
			ours = ours[1:]
		}
		if theirs != nil {
			m.entries = m.entries[1:]
		}
		switch v.judge(p, mine, theirs) {
		case verdictFlowing:
			res.flowing++
		case verdictSend:
			res.differ++
			v.out.Resend = append(v.out.Resend, mine.id)
		case verdictWant:
			res.differ++
			want = append(want, theirs.id)
		}
	}
	p.differ += int(res.differ)
	p.flowing += int(res.flowing)
	p.roundEnd = now.Add(roundEnd)
	res.round = m.round
	v.send(p, sideResult, res.append)
	for part := range slices.Chunk(want, maxWant) {
		v.send(p, sideWant, func(b []byte) []byte {
			for _, id := range part {
				b = id.append(b)
			}
			return b
		})
	}
	return nil
}

type verdict uint8

const (
	verdictSame    verdict = iota
	verdictFlowing         // changing too fast to say
	verdictSend            // ours is right: send it, or that it is gone
	verdictWant            // theirs is right
)

// judge says who is right about a state. What was removed stays removed, since an
// id is given only once. What only one node knows anything of is right there. Of
// two versions the one is right that was changed last, or on the node that made
// the state.
func (v *Converger) judge(p *convergePeer, mine, theirs *listEntry) verdict {
	units := func(e *listEntry) time.Duration { return min(e.idle/idleUnit, math.MaxUint16) } // as on the wire
	gone := func(e *listEntry) bool { return e == nil || e.removed }
	switch {
	case gone(mine) && gone(theirs):
		return verdictSame
	case mine != nil && theirs != nil && !mine.removed && !theirs.removed && mine.digest == theirs.digest:
		return verdictSame
	case mine != nil && mine.idle < v.cfg.Settle, theirs != nil && theirs.idle < v.cfg.Settle:
		return verdictFlowing
	case theirs == nil || mine != nil && mine.removed:
		return verdictSend
	case mine == nil || theirs.removed:
		return verdictWant
	case units(mine) != units(theirs):
		if units(mine) < units(theirs) {
			return verdictSend
		}
		return verdictWant
	}
	switch mine.id.CreatorID {
	case v.cfg.HostID:
		return verdictSend
	case p.status.HostID:
		return verdictWant
	}
	if v.leads(p) {
		return verdictSend
	}
	return verdictWant
}

// result adds up what the other node found.
func (v *Converger) result(now time.Time, p *convergePeer, b []byte) error {
	var m resultMsg
	if err := m.parse(b); err != nil {
		return err
	}
	if m.round == p.round && !p.roundEnd.IsZero() {
		p.differ = min(p.differ+int(min(m.differ, MaxStates)), MaxStates)
		p.flowing = min(p.flowing+int(min(m.flowing, MaxStates)), MaxStates)
		p.roundEnd = now.Add(roundEnd)
		p.unjudged = max(p.unjudged-1, 0)
	}
	return nil
}

// conclude ends a comparison. If something differed, it is looked at again.
func (v *Converger) conclude(now time.Time, p *convergePeer) {
	missed := p.missed || p.unjudged > 0 || len(p.listing) > 0
	p.roundEnd, p.listing, p.compareAt = time.Time{}, nil, time.Time{}
	p.restUntil = now.Add(v.cfg.Pause)
	if !p.answered {
		p.compareAt = p.restUntil
		return
	}
	p.status.At, p.status.Differ, p.status.Flowing = now, p.differ, p.flowing
	switch {
	case p.differ > 0:
		p.status.Agreement = Different
	case missed:
		p.status.Agreement = AgreementUnknown
	default:
		p.status.Agreement = Identical
	}
	if p.differed > 0 && p.differ > p.differed/4*3 { // the last repair was of little use
		least := min(time.Duration(p.differ)*time.Second/futileRate, futilePause)
		p.restUntil = now.Add(max(v.cfg.Pause, least))
	}
	p.differed = p.differ
	if p.differ > 0 || missed {
		p.compareAt = p.restUntil
	}
}
