package pfsync_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// compareTable compares the tables at a time, and what was counted.
//
// What the node's own traffic does to states is not seen until it is sent, so of
// its own states only what never changes is compared, and what the node sends
// within a second afterwards may have happened or not. States that are not to be
// announced go without a word, and all do while pfsync0 is down.
func (pl *player) compareTable(tab *table) {
	pl.t.Helper()
	where := fmt.Sprintf("%s: %s (%s)", pl.since(tab.at), pl.part.node.name, tab.label)
	soon := pl.soon(tab.at)
	ours := make(map[pfsync.StateID]pfsync.State)
	for st := range pl.store.States(tab.at) {
		ours[st.StateID] = *st
	}
	for i := range tab.states {
		k := &tab.states[i]
		o, ok := ours[k.StateID]
		delete(ours, k.StateID)
		switch {
		case ok:
			if diff := pl.compareState(k, &o, soon[k.StateID]); diff != "" {
				pl.differ("%s: %v: %s", where, k.StateID, diff)
			}
		case soon[k.StateID]:
		case !pl.exact && k.Flags&pfsync.FlagNoSync != 0 && k.CreatorID != pl.cfg.HostID:
			pl.unwanted++
		default:
			pl.differ("%s: ours does not have %v %v", where, k.StateID, k)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(ours), func(a, b pfsync.StateID) int {
		return strings.Compare(a.String(), b.String())
	}) {
		st := ours[id]
		switch {
		case soon[id]:
		case st.Flags&pfsync.FlagNoSync != 0 || st.Proto == pfsync.ProtocolNumber || pl.down:
			pl.remove(id) // it has expired
		case st.Expire == 0: // and so has this, of which the recording does not have the rest
		default:
			pl.differ("%s: the kernel does not have %v %v", where, id, &st)
		}
	}
	pl.compareStats(where, tab)
}

func (pl *player) differ(format string, args ...any) {
	pl.differing = append(pl.differing, fmt.Sprintf(format, args...))
}

// soon are the states of which the node sends something that may have happened by
// then, or gets something that it may have got.
func (pl *player) soon(at time.Time) map[pfsync.StateID]bool {
	const near = 30 * time.Millisecond
	soon := make(map[pfsync.StateID]bool)
	for i := range pl.part.frames {
		f := &pl.part.frames[i]
		until := at.Add(near)
		if pl.part.own(f) {
			until = at.Add(flushTime + tolerance)
		}
		if f.at.After(at.Add(-near)) && f.at.Before(until) {
			for _, m := range pl.part.messages(f) {
				soon[m.id] = true
			}
		}
	}
	return soon
}

// compareState compares a state. Ages may differ by rounding, and by how long
// messages waited; the rule is never ours, and packets are counted by who sees them.
func (pl *player) compareState(kernel, ours *pfsync.State, soon bool) string {
	k, o := *kernel, *ours
	if pl.mine[k.StateID] || soon {
		k, o = lasting(k), lasting(o)
	}
	// Kernels believe in states that live for longer than their class; a Memory cuts that.
	believed := k.Expire > uint32(pl.lifetime(k.Timeout)/time.Second)
	if d := int(k.Expire) - int(o.Expire); !believed && (d < -3 || d > 3) {
		return fmt.Sprintf("expires in %d s, the kernel's in %d", o.Expire, k.Expire)
	}
	if d := int(k.Creation) - int(o.Creation); d < -3 || d > 3 {
		return fmt.Sprintf("is %d s old, the kernel's %d", o.Creation, k.Creation)
	}
	for _, st := range []*pfsync.State{&k, &o} {
		st.Expire, st.Creation, st.Packets, st.Bytes = 0, 0, [2]uint64{}, [2]uint64{}
		st.Rule, st.Anchor, st.NATRule = 0, 0, 0
	}
	if k != o {
		return "(-kernel +ours):\n" + cmp.Diff(k, o)
	}
	return ""
}

func (pl *player) lifetime(class pfsync.Timeout) time.Duration {
	if life, ok := pl.part.node.timeouts[class]; ok {
		return life
	}
	return pl.cfg.Dialect.Timeouts()[class]
}

// received are the counters of what was received and dropped. What was sent is in
// the frames.
func (pl *player) received(c counters) counters {
	out := make(counters)
	for name, n := range c {
		if !strings.HasPrefix(name, "oacts.") && name != "opackets" && name != "bulkheld" && n != 0 {
			out[name] = n
		}
	}
	return out
}

// compareStats compares what was received and dropped since the last table, where
// tables have that.
func (pl *player) compareStats(where string, tab *table) {
	pl.t.Helper()
	was, wasStats := pl.was, pl.wasStats
	pl.was, pl.wasStats = tab.stats, pl.Stats()
	if tab.stats == nil || was == nil && !pl.part.start {
		return
	}
	kernel := make(counters)
	for name, n := range tab.stats {
		kernel[name] = n - was[name]
	}
	ours := kernelCounters(pl.t, pl.cfg.Dialect, pl.Stats(), wasStats)
	if diff := cmp.Diff(pl.received(kernel), pl.received(ours)); diff != "" {
		pl.miscounted = append(pl.miscounted, fmt.Sprintf("%s: counters since the last table (-kernel +ours):\n%s", where, diff))
	}
}

// compareDrops compares what was dropped in all, where the recording has that.
func (pl *player) compareDrops() {
	pl.t.Helper()
	if pl.cfg.Dialect != pfsync.OpenBSD {
		return
	}
	ours := pl.received(kernelCounters(pl.t, pl.cfg.Dialect, pl.Stats(), pl.fresh))
	delete(ours, "ipackets")
	if diff := cmp.Diff(pl.part.node.drops, ours); diff != "" {
		pl.miscounted = append(pl.miscounted, "at the end: drops (-kernel +ours):\n"+diff)
	}
}

// demotions are what the demotion was and became, in the order of time. FreeBSD says
// so itself, a little late; to OpenBSD one has to look.
func (pl *player) demotions() (kernel, ours string) {
	const late = time.Second
	words := func(changes []demotionChange) string {
		var out []string
		for _, c := range changes {
			out = append(out, strings.TrimSpace(fmt.Sprint(c.total, " ", c.why)))
		}
		return strings.Join(out, ", ")
	}
	if pl.cfg.Dialect == pfsync.OpenBSD {
		return words(pl.looked.kernel), words(pl.looked.ours)
	}
	if !pl.part.start {
		return "", ""
	}
	theirs := slices.DeleteFunc(slices.Clone(pl.part.node.demotion), func(c demotionChange) bool { return c.at.Before(pl.part.begin) })
	for i := range min(len(theirs), len(pl.demotion)) {
		if d := theirs[i].at.Sub(pl.demotion[i].at); theirs[i].why == pl.demotion[i].why && d.Abs() > late {
			pl.t.Errorf("demotion %s: %v after ours", theirs[i].why, d)
		}
	}
	return words(theirs), words(pl.demotion)
}
