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

// tolerance is how far the times of frames may be apart: kernels take their time
// for what they are told, and their clock ticks only so often.
const tolerance = 80 * time.Millisecond

// A sending is a message that was sent, in words.
type sending struct {
	at    time.Time
	frame int
	id    pfsync.StateID
	what  string
	bulk  bool // of a bulk answer, after its start
}

// sendings are those of frames.
func (pl *player) sendings(frames []wireFrame) (out []sending) {
	bulk := false
	for i, f := range frames {
		if _, err := pfsync.Parse(pl.cfg.Dialect, f.payload); err != nil {
			pl.t.Errorf("%s: %v: %x", pl.since(f.at), err, f.payload)
		}
		msgs := messagesOf(pl.t, pl.cfg.Dialect, f.payload)
		start, end := busOf(msgs)
		bulk = bulk || start
		for _, m := range msgs {
			if m.action == pfsync.ActTDB {
				continue // decoded, and never sent
			}
			in := m.action == pfsync.ActUpd || m.action == pfsync.ActBus && m.bus().Status == pfsync.BusEnd
			out = append(out, sending{f.at, i, m.id, m.describe(), bulk && in})
		}
		bulk = bulk && !end
	}
	return out
}

// busOf reports whether there are the start and the end of a bulk answer.
func busOf(msgs []message) (start, end bool) {
	for _, m := range msgs {
		if m.action == pfsync.ActBus {
			status := m.bus().Status
			start = start || status == pfsync.BusStart
			end = end || status == pfsync.BusEnd
		}
	}
	return start, end
}

// describe is a message without what the protocol does not say: ages, packets that
// were counted, the rule of a state, and what is behind the end of a name.
func (m *message) describe() string {
	switch m.action {
	case pfsync.ActClr:
		c := m.clr()
		return fmt.Sprintf("CLR %08x %q", c.CreatorID, c.IfName.String())
	case pfsync.ActIns, pfsync.ActUpd:
		octets := blankAges(m.format, m.octets)
		counters := 196
		if m.format == pfsync.FormatOpenBSD {
			counters = 204
		}
		clear(octets[counters : counters+32])
		return fmt.Sprintf("%v %v %x", m.action, m.id, octets)
	}
	return fmt.Sprintf("%v %v %x", m.action, m.id, m.octets)
}

// near reports whether o is sent when k is. The states of a bulk answer go when
// their turn comes, which is the table's business, and as fast as a system likes.
func (o sending) near(k sending) bool {
	d := o.at.Sub(k.at).Abs()
	return d <= tolerance || o.bulk && k.bulk && d < 5*time.Second
}

// comparePace compares when the frames of bulk answers leave, where kernels have a
// pace: FreeBSD sends them as fast as it can.
func (pl *player) comparePace() {
	pl.t.Helper()
	if pl.cfg.Dialect != pfsync.OpenBSD {
		return
	}
	times := func(frames []wireFrame) (out []time.Time) {
		last := -1
		for _, s := range pl.sendings(frames) {
			if s.bulk && s.frame != last {
				out = append(out, frames[s.frame].at)
				last = s.frame
			}
		}
		return out
	}
	kernel, ours := times(pl.kernelFrames()), times(pl.sent)
	for i := range min(len(kernel), len(ours)) {
		if d := ours[i].Sub(kernel[i]); d.Abs() > tolerance {
			pl.t.Errorf("%s: frame %d of the bulk answers is %v off", pl.since(kernel[i]), i, d)
		}
	}
}

// kernelFrames are those that the kernel has sent in this part.
func (pl *player) kernelFrames() (out []wireFrame) {
	for _, f := range pl.part.frames {
		if f.from == pl.part.node && !f.at.Before(pl.part.begin) {
			out = append(out, f)
		}
	}
	return out
}

// compareFrames compares what was sent: the same messages at the same times. It
// returns what only one of them has sent, and of the rest what ours sends after
// another message of the same state that the kernel sends later.
func (pl *player) compareFrames() (kernel, ours, swapped []sending) {
	pl.t.Helper()
	all := pl.sendings(pl.sent)
	taken := make([]bool, len(all))
	place := make(map[pfsync.StateID]int) // of the last message of a state
	for _, k := range pl.sendings(pl.kernelFrames()) {
		i := 0
		for i < len(all) && (taken[i] || all[i].what != k.what || !all[i].near(k)) {
			i++
		}
		if i == len(all) {
			kernel = append(kernel, k)
			continue
		}
		taken[i] = true
		if k.id != (pfsync.StateID{}) && i < place[k.id] {
			swapped = append(swapped, k)
		}
		place[k.id] = i
	}
	for i, o := range all {
		if !taken[i] {
			ours = append(ours, o)
		}
	}
	return kernel, ours, swapped
}

// compareComposition compares what is in which frame, and in which order. The states
// of bulk answers are in no order, so there only how many are in a frame.
func (pl *player) compareComposition() string {
	lines := func(frames []wireFrame) []string {
		var out []string
		last := -1
		for _, s := range pl.sendings(frames) {
			what := short(s.what)
			if s.bulk && s.id != (pfsync.StateID{}) {
				what = "UPD of the answer"
			}
			if s.frame == last {
				out[len(out)-1] += " + " + what
			} else {
				out = append(out, what)
			}
			last = s.frame
		}
		slices.Sort(out) // slices are not in step
		return out
	}
	return cmp.Diff(lines(pl.kernelFrames()), lines(pl.sent))
}

func short(what string) string {
	if len(what) > 60 {
		what = what[:60] + "..."
	}
	return what
}

// tally counts sendings by their action: "16 UPD_C, 1 UPD_REQ".
func tally(s []sending) string {
	count := make(map[string]int)
	for _, x := range s {
		action, _, _ := strings.Cut(x.what, " ")
		count[action]++
	}
	var out []string
	for _, action := range slices.Sorted(maps.Keys(count)) {
		out = append(out, fmt.Sprint(count[action], " ", action))
	}
	return strings.Join(out, ", ")
}

// list is sendings in words, a line for those of the same kind in the same frame.
func (pl *player) list(s []sending) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		j := i
		kind, _, _ := strings.Cut(s[i].what, " ")
		for j < len(s) && s[j].at.Equal(s[i].at) && strings.HasPrefix(s[j].what, kind+" ") {
			j++
		}
		fmt.Fprintf(&out, "  %s: %d %s", pl.since(s[i].at), j-i, short(s[i].what))
		if j-i > 1 {
			fmt.Fprintf(&out, " to %s", short(s[j-1].what))
		}
		out.WriteByte('\n')
		i = j
	}
	return out.String()
}
