package pfsync_test

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// opening says when the part begins: when the node goes up, if the recording has
// what it sent then; or else a little before the first that the recording has, with
// a session that has no bulk update outstanding.
func (p *part) opening() {
	p.begin = p.frames[0].at
	if len(p.tables) > 0 && p.tables[0].at.Before(p.begin) {
		p.begin = p.tables[0].at
	}
	p.begin = p.begin.Add(-time.Second)
	for _, o := range p.node.orders {
		if o.kind == orderCut && o.at.Before(p.begin) {
			defer p.add(p.begin, func(pl *player) { pl.obey(o) })
		}
	}
	i := slices.IndexFunc(p.node.orders, func(o order) bool { return o.kind == orderUp })
	switch {
	case i < 0: // it never is
		p.add(p.begin, func(*player) {})
	case p.recordedSince(p.node.orders[i].at):
		p.start, p.begin = true, p.upAt(p.node.orders[i].at)
		p.add(p.begin, (*player).up)
	default:
		p.add(p.begin, (*player).preset)
	}
}

// recordedSince reports whether the capture has all that the node has sent since
// it went up then. FreeBSD counts that; OpenBSD asks for a bulk update at once.
func (p *part) recordedSince(up time.Time) bool {
	if p.rec.dialect == pfsync.OpenBSD {
		return !p.upAt(up).Equal(up)
	}
	if len(p.tables) == 0 {
		return false
	}
	sent := 0
	for i := range p.frames {
		if f := &p.frames[i]; p.own(f) && f.at.Before(p.tables[0].at) {
			sent++
		}
	}
	return uint64(sent) == p.tables[0].stats["opackets"]
}

// upAt is when a node was up that was told so. OpenBSD takes some milliseconds until
// it asks for a bulk update; if the syncpeer's address has to be resolved first, that
// is not seen at once.
func (p *part) upAt(told time.Time) time.Time {
	for i := range p.frames {
		f := &p.frames[i]
		late := f.at.Sub(told)
		if p.rec.dialect == pfsync.OpenBSD && p.own(f) && late > 0 && late < 200*time.Millisecond {
			if m := p.messages(f); len(m) > 0 && m[0].action == pfsync.ActUpdReq && m[0].id == (pfsync.StateID{}) {
				return told.Add(min(late, 12*time.Millisecond))
			}
		}
	}
	return told
}

// follow adds what the node received and what it was told.
func (p *part) follow() {
	for i := range p.frames {
		if f := &p.frames[i]; !p.own(f) {
			p.add(f.at, func(pl *player) { pl.hear(f) })
		}
	}
	for _, o := range p.node.orders {
		if !o.at.After(p.begin) || o.kind == orderUp && p.upAt(o.at).Equal(p.begin) {
			continue
		}
		at := o.at
		if o.kind == orderUp {
			at = p.upAt(at)
		}
		p.add(at, func(pl *player) { pl.obey(o) })
	}
	for _, tab := range p.tables {
		p.add(tab.at, func(pl *player) { pl.compareTable(&tab) })
	}
	for _, seen := range p.node.demotion {
		if seen.why == "" && seen.at.After(p.begin) {
			p.add(seen.at.Add(tickTime), func(pl *player) { pl.look(seen) })
		}
	}
}

// A deduction goes through a recording by time, and keeps what is known so far.
type deduction struct {
	*part
	life     time.Time // since when the node has been up
	set      time.Time // and configured as it is, which sends what waits
	heard    map[pfsync.StateID]bool
	touched  map[pfsync.StateID]time.Time // by a peer
	last     map[int]time.Time            // frame of a slice
	squeezed map[int]bool                 // that one left when something did not fit
	bulk     time.Time                    // when the answer under way began
}

// infer adds what the states of the node have done.
func (p *part) infer() {
	d := &deduction{part: p, life: p.begin, set: p.begin}
	d.reborn()
	type step struct {
		at time.Time
		do func()
	}
	var all []step
	p.eachOwn(func(fr *wireFrame, msgs []message, bulk bool) {
		all = append(all, step{fr.at, func() { d.sent(fr, msgs, bulk) }})
	})
	for i := range p.frames {
		if f := &p.frames[i]; !p.own(f) {
			all = append(all, step{f.at, func() { d.received(f) }})
		}
	}
	for _, tab := range p.tables {
		all = append(all, step{tab.at, func() { d.told(&tab) }})
	}
	for _, o := range p.node.orders {
		switch o.kind {
		case orderDie:
			all = append(all, step{o.at, d.reborn})
		case orderUp:
			all = append(all, step{o.at, func() { d.life = p.upAt(o.at); d.set = d.life }})
		case orderSet:
			all = append(all, step{o.at, func() { d.set = o.at }})
		}
	}
	slices.SortStableFunc(all, func(a, b step) int { return a.at.Compare(b.at) })
	for _, m := range all {
		if !m.at.Before(p.begin) {
			m.do()
		}
	}
}

// reborn forgets all.
func (d *deduction) reborn() {
	d.heard = make(map[pfsync.StateID]bool)
	d.touched = make(map[pfsync.StateID]time.Time)
	d.last = make(map[int]time.Time)
	d.squeezed = make(map[int]bool)
}

func (d *deduction) received(f *wireFrame) {
	for _, m := range d.messages(f) {
		switch m.action {
		case pfsync.ActIns, pfsync.ActUpd:
			d.heard[m.id] = true
			fallthrough
		case pfsync.ActUpdC:
			d.touched[m.id] = f.at
		}
	}
}

// told takes note of a table. What is in it and was never sent must come from
// somewhere.
func (d *deduction) told(tab *table) {
	for i := range tab.states {
		if st := tab.states[i]; !d.heard[st.StateID] && !d.announced(st.StateID) {
			d.whole[st.StateID] = sighting{tab.at, st}
			d.provide(st.StateID, tab.at)
		}
	}
}

// announced reports whether the node announces a state in the recording.
func (d *deduction) announced(id pfsync.StateID) (yes bool) {
	d.eachOwn(func(_ *wireFrame, msgs []message, _ bool) {
		for _, m := range msgs {
			yes = yes || m.action == pfsync.ActIns && m.id == id
		}
	})
	return yes
}

// provide has a state in the table before then that nobody was told of: it is
// older than the part, or not to be announced, or the announcement was lost in the
// kernel.
func (d *deduction) provide(id pfsync.StateID, before time.Time) {
	seen, ok := d.whole[id]
	if !ok {
		seen = sighting{before, nameless(id)}
	}
	d.heard[id] = true
	st := seen.st
	at := seen.at.Add(-time.Duration(st.Creation) * time.Second)
	hidden := st.Flags&pfsync.FlagNoSync != 0 || st.Proto == pfsync.ProtocolNumber
	switch {
	case at.Add(-time.Second).Before(d.life):
		at = d.life.Add(-time.Nanosecond)
		hidden = false
	case !hidden:
		at = before
	case at.After(before):
		at = before
	}
	if theirs := st.CreatorID != d.hostID(before); d.start && theirs || !theirs && !hidden && at.Equal(before) {
		d.unseen++
	}
	age := uint32(max(seen.at.Sub(at), 0) / time.Second)
	st.Creation -= min(age, st.Creation)
	st.Expire += age
	d.add(at, func(pl *player) { pl.insert(&st, hidden) })
}

// nameless is a state of which nothing is known but that it was removed.
func nameless(id pfsync.StateID) pfsync.State {
	st := pfsync.State{StateID: id, AF: pfsync.AFInet, Proto: 17, Direction: pfsync.In, Timeout: pfsync.UDPMultiple, Creation: 1 << 16}
	copy(st.IfName[:], "all")
	binary.BigEndian.PutUint64(st.Wire.Addr[0][:], id.ID)
	st.Stack = st.Wire
	return st
}
