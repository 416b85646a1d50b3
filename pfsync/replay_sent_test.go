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
	moment      = 2 * time.Millisecond // by which what is inferred is later than it can have been
)

// sent adds what must have happened for a frame to be sent.
func (d *deduction) sent(fr *wireFrame, msgs []message, bulk bool) {
	defer d.add(fr.at, (*player).wake)
	if bulk && d.bulk.IsZero() {
		d.bulk = fr.at
	}
	queued := slices.DeleteFunc(slices.Clone(msgs), func(m message) bool { return !m.queued() })
	answer := fr.at
	if bulk {
		answer = d.bulk
		queued = slices.DeleteFunc(queued, func(m message) bool { return m.action == pfsync.ActUpd })
	}
	for _, m := range msgs {
		switch m.action {
		case pfsync.ActUpd:
			d.answered(&m, fr.at, answer)
		case pfsync.ActBus:
			if b := m.bus(); b.Status == pfsync.BusEnd {
				d.bulk = time.Time{}
			}
		}
	}
	if len(queued) == 0 {
		return
	}
	slice := d.slice(queued[0].id)
	prev := d.last[slice]
	base := fr.at.Add(moment - flushTime)
	early := fr.at.Sub(prev) < flushTime*9/10
	if base.Before(prev) {
		base = prev
	}
	if base.Before(d.set) {
		base = d.set
	}
	first := base
	if d.squeezed[slice] {
		first = prev
	}
	d.last[slice] = fr.at
	room := ethernetMTU - ipHeader - len(fr.payload) - 4
	size := 242
	if d.rec.dialect == pfsync.OpenBSD {
		size = 264
	}
	d.squeezed[slice] = early && room < size

	// A new state is the first that happens: if the frame before this one was full,
	// that is what did not fit.
	order := []pfsync.Action{pfsync.ActIns, pfsync.ActUpdC, pfsync.ActDelC}
	at := first
	var last []func()
	counted := -1 // the update that reached MaxUpd
	plain := early && !d.squeezed[slice]
	for _, action := range order {
		for i := range queued {
			m := &queued[i]
			if m.action != action {
				continue
			}
			now, urgent := d.happened(m, fr.at)
			switch {
			case now == nil:
				plain = false
			case urgent:
				plain = false
				last = append(last, func() { d.add(fr.at, now) })
			default:
				d.add(at, now)
				at = base
				if m.action == pfsync.ActUpdC && d.proto(m.id) == 6 {
					counted = i
				}
			}
		}
	}
	for _, m := range queued {
		plain = plain && m.action != pfsync.ActUpd && m.action != pfsync.ActInsAck
	}
	for _, do := range last {
		do()
	}
	if plain && counted >= 0 {
		id := queued[counted].id
		d.add(fr.at, func(pl *player) { pl.update(id, nil, max(int(d.node.maxUpd), 1)) })
	}
}

// happened is what happened to a state for m to be sent at that time, and whether
// it sends the frame at once. It is nil if it was something from outside.
func (d *deduction) happened(m *message, at time.Time) (do func(*player), urgent bool) {
	switch m.action {
	case pfsync.ActIns:
		d.heard[m.id] = true
		st := m.state(d.t)
		urgent = st.Flags&pfsync.FlagAck != 0
		st.Flags &^= pfsync.FlagAck
		return func(pl *player) { pl.insert(&st, true) }, urgent
	case pfsync.ActUpdC:
		d.know(m.id, at.Add(-flushTime))
		u := m.updC()
		touched, ok := d.touched[m.id]
		if ok && at.Sub(touched) < 30*time.Millisecond {
			return nil, false // ours is better
		}
		urgent = ok && at.Sub(touched) < touchedTime
		return func(pl *player) { pl.update(u.StateID, &u, 1) }, urgent
	default:
		d.know(m.id, at.Add(-flushTime))
		id := m.id
		return func(pl *player) { pl.remove(id) }, false
	}
}

// know has a state in the table that the node has never announced.
func (d *deduction) know(id pfsync.StateID, before time.Time) {
	if !d.heard[id] {
		d.provide(id, before)
	}
}

// answered has a state in the table that is sent because somebody asked for it, as
// the node has it then, a moment before the answer begins.
func (d *deduction) answered(m *message, at, begin time.Time) {
	st := m.state(d.t)
	begin = begin.Add(-20 * time.Millisecond)
	if begin.Before(d.life) {
		begin = d.life
	}
	if !d.heard[m.id] {
		d.whole[m.id] = sighting{at, st}
		d.provide(m.id, begin)
	}
	d.add(begin, func(pl *player) { pl.refresh(&st) })
}

func (d *deduction) proto(id pfsync.StateID) uint8 { return d.whole[id].st.Proto }
