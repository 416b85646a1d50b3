package pfsync_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// A player plays a part: a session in the place of a recorded kernel, with a table.
type player struct {
	*replayed
	t     *testing.T
	part  *part
	exact bool // as the kernel, mistakes included

	dead, cut, down bool
	joined          bool                    // pfsync0 was up
	mine            map[pfsync.StateID]bool // made or changed by this node
	armed           time.Time               // when the deadline was set
	reason          string                  // of the last change of the demotion
	was             counters                // of the kernel, in the last table
	wasStats, fresh pfsync.Stats            // ours at that time, and at the beginning

	sent       []wireFrame
	released   []release
	demotion   []demotionChange
	looked     struct{ kernel, ours []demotionChange } // at the same times
	faults     []string                                // what the node does and ours cannot
	differing  []string                                // states, in tables
	miscounted []string
	unwanted   int // states in tables that ours has not taken, since they are not to be synchronised
}

// A release is when a first packet that was held back went.
type release struct {
	at time.Time
	id pfsync.StateID
}

// play has a session play a part to its end.
func (p *part) play(t *testing.T, exact bool) *player {
	t.Helper()
	pl := &player{t: t, part: p, exact: exact}
	pl.born(p.acts[0].at)
	for _, a := range p.acts {
		pl.advance(a.at)
		a.do(pl)
	}
	pl.advance(pl.now.Add(tolerance)) // nothing is recorded of what comes then
	pl.compareDrops()
	return pl
}

// born makes a session with an empty table.
func (pl *player) born(now time.Time) {
	p := pl.part
	cfg := pfsync.Config{
		Dialect: p.rec.dialect, HostID: p.hostID(now), MaxUpd: &p.node.maxUpd, Slices: p.slices,
		Defer: p.node.holds, KernelExact: pl.exact, Bulk: pfsync.BulkConfig{Deadline: time.Hour},
	}
	if !p.node.demotes {
		cfg.Demote = -1
	}
	if cfg.Defer && cfg.Dialect == pfsync.FreeBSD12 {
		cfg.DeferDelay = 10 * time.Millisecond
	}
	pl.replayed = replay(pl.t, cfg, pfsync.MemoryConfig{Timeouts: p.node.timeouts})
	pl.replayed.now = now
	pl.mine = make(map[pfsync.StateID]bool)
	pl.was, pl.wasStats, pl.fresh = nil, pfsync.Stats{}, pfsync.Stats{}
	pl.dead = false
}

// hostID is the one of the node at a time: it has another one after it died.
func (p *part) hostID(at time.Time) uint32 {
	i := slices.IndexFunc(p.node.orders, func(o order) bool { return o.kind == orderDie && o.at.After(at) })
	if i < 0 {
		return p.node.hostID
	}
	for j := range p.frames {
		f := &p.frames[j]
		if !p.own(f) || f.at.Before(at) || f.at.After(p.node.orders[i].at) {
			continue
		}
		for _, m := range p.messages(f) {
			if m.action == pfsync.ActIns {
				return m.id.CreatorID
			}
		}
	}
	return p.node.hostID
}

// step tells the session what happens now.
func (pl *player) step(ev pfsync.Event) {
	pl.t.Helper()
	before := pl.out.Deadline
	pl.replayed.step(ev)
	for _, f := range pl.take() {
		pl.sent = append(pl.sent, wireFrame{at: pl.now, from: pl.part.node, payload: f})
	}
	for _, id := range pl.out.Release {
		pl.released = append(pl.released, release{pl.now, id})
	}
	if !pl.out.Deadline.Equal(before) {
		pl.armed = pl.now
	}
	if pl.out.DemotionReason != pl.reason {
		pl.reason = pl.out.DemotionReason
		pl.demotion = append(pl.demotion, demotionChange{pl.now, pl.out.Demotion, pl.reason})
	}
}

// Kernels' timers are as much as tickTime early or late, and later by lateness of
// their time. FreeBSD does not start the one of a slice anew when a frame is full.
const (
	tickTime = 15 * time.Millisecond
	lateness = 0.08
)

// advance lets time pass. Timers run late, so that wake has them run when the
// kernel's did; but not later than a kernel's may.
func (pl *player) advance(to time.Time) {
	for !pl.out.Deadline.IsZero() {
		d := pl.out.Deadline
		wait := d.Sub(pl.armed)
		d = d.Add(time.Duration(float64(wait)*lateness) + min(wait, tickTime))
		if d.After(to) {
			break
		}
		if d.After(pl.now) {
			pl.now = d
		}
		pl.step(pfsync.Event{Kind: pfsync.EventTimer})
	}
	if to.After(pl.now) {
		pl.now = to
	}
}

// wake runs the timers that are due when the kernel's are.
func (pl *player) wake() {
	for d := pl.out.Deadline; !d.IsZero() && !d.After(pl.now.Add(tickTime)); d = pl.out.Deadline {
		if d.After(pl.now) {
			pl.now = d
		}
		pl.step(pfsync.Event{Kind: pfsync.EventTimer})
	}
}

func (pl *player) up() {
	pl.down, pl.joined = false, true
	pl.step(pfsync.Event{Kind: pfsync.EventLinkUp})
	pl.step(pfsync.Event{Kind: pfsync.EventUp})
}

// preset is up, and with no bulk update outstanding.
func (pl *player) preset() {
	pl.up()
	pl.bus(pfsync.BusStart)
	pl.bus(pfsync.BusEnd)
	pl.step(pfsync.Event{Kind: pfsync.EventFlush})
	pl.sent, pl.demotion, pl.frames = nil, nil, nil
	pl.wasStats, pl.fresh = pl.Stats(), pl.Stats()
}

// bus is a BUS of a peer.
func (pl *player) bus(status uint8) {
	w := pfsync.NewWriter(pl.cfg.Dialect, pl.cfg.Format, 1500)
	w.Bus(&pfsync.Bus{CreatorID: 0xfeedface, Status: status})
	pl.hear(&wireFrame{payload: w.Bytes()})
}

// hear receives a frame. Before it was up for the first time a node has not joined
// the group, so that it does not even count what comes.
func (pl *player) hear(f *wireFrame) {
	if !pl.dead && !pl.cut && (pl.joined || f.unicast) {
		pl.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: f.payload, TTL: 255}})
	}
}

func (pl *player) obey(o order) {
	switch o.kind {
	case orderUp:
		if pl.dead {
			pl.born(pl.now)
		}
		pl.up()
	case orderDown:
		pl.down = true
		pl.step(pfsync.Event{Kind: pfsync.EventDown})
	case orderSet:
		pl.step(pfsync.Event{Kind: pfsync.EventResync})
	case orderClear:
		name, _ := pfsync.MakeName(o.ifname)
		pl.clear(name)
	case orderCut:
		pl.cut = true
	case orderUncut:
		pl.cut = false
	case orderDie:
		pl.dead, pl.joined, pl.out = true, false, pfsync.Output{}
	}
}

// clear is pfctl -F states: the states of all creators go, and a CLR says so for ours.
func (pl *player) clear(ifname pfsync.Name) {
	var gone []pfsync.StateID
	for st := range pl.store.States(pl.now) {
		if ifname == (pfsync.Name{}) || st.IfName.String() == ifname.String() {
			gone = append(gone, st.StateID)
		}
	}
	for _, id := range gone {
		pl.store.Delete(id)
	}
	pl.step(pfsync.Event{Kind: pfsync.EventClear, IfName: ifname})
}

// insert adds a state of this node, and tells the session of it.
func (pl *player) insert(st *pfsync.State, tell bool) {
	pl.mine[st.StateID] = pl.mine[st.StateID] || tell || st.CreatorID == pl.cfg.HostID
	if err := pl.store.Insert(pl.now, st, nil); err != nil {
		pl.fault("the node has a state that ours cannot have: %v: %v", st.StateID, err)
	}
	if tell {
		pl.step(pfsync.Event{Kind: pfsync.EventInsert, State: st})
	}
}

// update changes a state as the node has, unless u is nil, and tells the session
// so many times.
func (pl *player) update(id pfsync.StateID, u *pfsync.UpdC, times int) {
	pl.mine[id] = true
	var proto uint8
	if !pl.store.Update(pl.now, id, func(st *pfsync.State) pfsync.Keep {
		proto = st.Proto
		if u != nil {
			st.Src, st.Dst, st.Timeout = u.Src, u.Dst, u.Timeout
		}
		return pfsync.KeepAll
	}) {
		pl.fault("the node changes a state that ours does not have: %v", id)
	}
	for range times {
		pl.step(pfsync.Event{Kind: pfsync.EventUpdate, ID: id, Proto: proto})
	}
}

// refresh changes a state of this node as it was when the node sent it. Those of
// others must be right already.
func (pl *player) refresh(st *pfsync.State) {
	if pl.mine[st.StateID] {
		pl.store.Update(pl.now, st.StateID, func(ours *pfsync.State) pfsync.Keep {
			if ours.Src == st.Src && ours.Dst == st.Dst && ours.Timeout == st.Timeout {
				return pfsync.KeepNothing
			}
			ours.Src, ours.Dst, ours.Timeout = st.Src, st.Dst, st.Timeout
			return pfsync.KeepAll
		})
	}
}

// remove removes a state as the node has, and tells the session.
func (pl *player) remove(id pfsync.StateID) {
	var st pfsync.State
	if !pl.store.Get(pl.now, id, &st) {
		pl.fault("the node removes a state that ours does not have: %v", id)
	}
	pl.store.Delete(id)
	pl.step(pfsync.Event{Kind: pfsync.EventDelete, ID: id, State: &st})
}

// since is a time as the recording goes.
func (pl *player) since(at time.Time) string {
	return at.Sub(pl.part.begin).Round(time.Millisecond).String()
}

func (pl *player) fault(format string, args ...any) {
	pl.faults = append(pl.faults, pl.since(pl.now)+": "+fmt.Sprintf(format, args...))
}

// look compares the demotion with what somebody saw who looked.
func (pl *player) look(seen demotionChange) {
	pl.looked.kernel = append(pl.looked.kernel, seen)
	pl.looked.ours = append(pl.looked.ours, demotionChange{at: pl.now, total: pl.out.Demotion})
}
