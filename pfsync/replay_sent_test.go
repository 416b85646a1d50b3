package pfsync_test

import (
	"slices"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

const (
	ethernetMTU = 1500
	ipHeader    = 20
	touchedTime = 2 * time.Second
	moment      = 2 * time.Millisecond // what is inferred is this much later than it can have been
)

// sent adds what must have happened for a frame to be sent.
func (d *deduction) sent(fr *wireFrame, msgs []message, bulk bool) {
	defer d.add(fr.at, (*player).wake)
	d.answers(fr, msgs, bulk)
	msgs = slices.DeleteFunc(slices.Clone(msgs), func(m message) bool {
		return !m.queued() || bulk && m.action == pfsync.ActUpd
	})
	if len(msgs) == 0 {
		return
	}
	w := d.window(fr, d.slice(msgs[0].id))

	// A new state is the first that happens: if the frame before this one was full,
	// that is what did not fit.
	slices.SortStableFunc(msgs, func(a, b message) int { return a.rank() - b.rank() })
	var urgent []func(*player)
	var counted pfsync.StateID // of which the updates reached MaxUpd, if nothing else did it
	outside := false
	at := w.first
	for i := range msgs {
		m := &msgs[i]
		do, now := d.happened(m, fr.at)
		switch {
		case do == nil:
			outside = true
		case now:
			urgent = append(urgent, do)
		default:
			d.add(at, do)
			at = w.rest
			if m.action == pfsync.ActUpdC && d.whole[m.id].st.Proto == 6 {
				counted = m.id
			}
		}
	}
	for _, do := range urgent {
		d.add(fr.at, do)
	}
	if w.early && !w.full && !outside && len(urgent) == 0 && counted != (pfsync.StateID{}) {
		d.add(fr.at, func(pl *player) { pl.update(counted, nil, max(int(d.node.maxUpd), 1)) })
	}
}

// rank is the order in which what is in a frame is taken to have happened.
func (m *message) rank() int {
	switch m.action {
	case pfsync.ActIns:
		return 0
	case pfsync.ActUpdC:
		return 1
	}
	return 2
}

// A window is when what is in a frame happened: after the last frame of its slice
// left, and so long before this one that the timer sends it.
type window struct {
	first time.Time // the first thing of all
	rest  time.Time
	early bool // the timer cannot have run out
	full  bool // and that is because something did not fit
}

// window is the one of a frame of a slice.
func (d *deduction) window(fr *wireFrame, slice int) window {
	prev := d.last[slice]
	d.last[slice] = fr.at
	w := window{rest: fr.at.Add(moment - flushTime), early: fr.at.Sub(prev) < flushTime*9/10}
	for _, t := range []time.Time{prev, d.set} {
		if w.rest.Before(t) {
			w.rest = t
		}
	}
	w.first = w.rest
	if d.squeezed[slice] {
		w.first = prev
	}
	const subheader, state1301, stateOpenBSD = 4, 242, 264
	room := ethernetMTU - ipHeader - len(fr.payload) - subheader
	w.full = w.early && (room < state1301 || d.rec.dialect == pfsync.OpenBSD && room < stateOpenBSD)
	d.squeezed[slice] = w.full
	return w
}

// happened is what happened to a state for m to be sent at that time, and whether
// it sends the frame at once. It is nil if it was something from outside.
func (d *deduction) happened(m *message, at time.Time) (do func(*player), urgent bool) {
	id := m.id
	switch m.action {
	case pfsync.ActIns:
		d.heard[id] = true
	case pfsync.ActUpdC, pfsync.ActDelC:
		if !d.heard[id] { // of what the node has never announced
			d.provide(id, at.Add(-flushTime))
		}
	}
	switch {
	case m.action == pfsync.ActDelC:
		return func(pl *player) { pl.remove(id) }, false
	case d.traffic != nil: // what it did is known: see drive
		return nil, false
	case m.action == pfsync.ActIns:
		st := m.state(d.t)
		urgent = st.Flags&pfsync.FlagAck != 0
		st.Flags &^= pfsync.FlagAck
		return func(pl *player) { pl.insert(&st, true) }, urgent
	case m.action == pfsync.ActUpdC:
		const answer = 30 * time.Millisecond
		u := m.updC()
		touched, ok := d.touched[id]
		since := at.Sub(touched)
		if ok && since < answer {
			return nil, false // ours is better
		}
		return func(pl *player) { pl.update(id, &u, 1) }, ok && since < touchedTime
	}
	return nil, false // an answer
}

// answers has in the table what is sent because somebody has asked for it, as the
// node has it then, a moment before the answer begins.
func (d *deduction) answers(fr *wireFrame, msgs []message, bulk bool) {
	const before = 20 * time.Millisecond
	if bulk && d.bulk.IsZero() {
		d.bulk = fr.at
	}
	begin := fr.at
	if bulk {
		begin = d.bulk
	}
	if begin = begin.Add(-before); begin.Before(d.life) {
		begin = d.life
	}
	for _, m := range msgs {
		if m.action != pfsync.ActUpd {
			continue
		}
		st := m.state(d.t)
		if !d.heard[m.id] {
			d.whole[m.id] = sighting{fr.at, st}
			d.provide(m.id, begin)
		}
		d.add(begin, func(pl *player) { pl.refresh(&st) })
	}
	if _, end := busOf(msgs); end {
		d.bulk = time.Time{}
	}
}
