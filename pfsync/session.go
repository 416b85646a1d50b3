package pfsync

import "time"

// A Session is the protocol: what changes in a state table here becomes messages,
// and messages become changes of the table. It is a function of what it is told
// and when. It reads no clock, does no I/O and starts no goroutine, and it is not
// safe for concurrent use.
//
// For each state it remembers at most whether a message about it waits, and
// whether a peer has touched it within the last two seconds: its memory follows
// the activity, not the size of the table. Messages are made of what the [Store]
// holds at the moment of writing. TDB is counted and not applied.
//
// # Better
//
// A session behaves as the kernel of its dialect does, except that, unless
// [Config.KernelExact] is set,
//
//   - an OpenBSD that asks an empty peer is done when that says so. Kernels ignore
//     a BUS end without a start, and stay demoted for 24 s; so our own answer from
//     an empty table has both, for their sake,
//   - a bulk update does not stick: one that makes no progress is asked for again,
//     and [BulkConfig.Deadline] ends it,
//   - a bulk answer holds all states, also those that wait to be announced
//     (FreeBSD leaves them out),
//   - a bulk update is asked for once more when the link comes back after a loss,
//     and EventResync asks without a demotion: neither is a reason to fail over,
//   - UPD_REQ leaves at once (FreeBSD 12 leaves it in the queue until something
//     else is sent),
//   - of an update with one stale half only the other one is taken, and a higher
//     TCP state is taken whatever its sequence number (FreeBSD overwrites the
//     responder's half in the first case, and calls it stale in the second),
//   - a CLR for one interface clears that one (FreeBSD 12: all),
//   - a CLR of states that are our own is refused, since nobody else may say so,
//   - states that are not to be synchronised are neither sent in a bulk update
//     (OpenBSD) nor taken from one,
//   - what was removed here on purpose is not taken back from a peer that does not
//     know it yet, if [Config.Removed] remembers it,
//   - requests for states, for the whole table, and CLR are answered at bounded
//     rates, and a bulk request that comes during an answer gets one of its own,
//   - of new states, those of a bulk update and of a burst are not remembered as
//     touched: the first update of them waits for others.
type Session struct {
	cfg    Config // with defaults
	store  Store
	habits *habits
	base   int // octets of a packet that are not messages
	sizes  [numQueues]int
	names  map[Name]Name // of the peers' interfaces
	stats  Stats

	epoch time.Time     // just before the first Step
	now   time.Time     // of this one
	clock time.Duration // since the epoch. It is never 0 and does not go back

	up   bool
	link link

	entries table
	touched touched
	slices  []slice
	kick    bool // slices that are pushed are to be flushed in this step
	defers  []deferral
	req     requester
	ans     responder

	ureqLimit, clrLimit limiter

	w      *Writer
	bufs   [][]byte // of the frames, kept
	frames [][]byte
	out    State // being written
	updC   UpdC  // being written

	in       State // received
	change   UpdC  // received
	result   merged
	rules    mergeRules
	merging  func(*State) Keep // s.merge
	clearing func(StateID)     // s.cleared
	unknown  []StateID         // states of this section to ask for
	replaced []StateID         // by the state that is being inserted
	replace  func(StateID)     // adds to it

	release, drop []StateID
}

// link is what is known of the carrier.
type link uint8

const (
	linkUnknown link = iota
	linkUp
	linkDown
)

// touchedFor is for how long after an update by a peer ours are sent at once.
const touchedFor = 2 * time.Second

// NewSession makes a session on a table. It waits for EventUp.
func NewSession(c Config, store Store) (*Session, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	s := &Session{
		cfg:       c,
		store:     store,
		habits:    c.Dialect.habits(),
		base:      c.Dialect.traits().base,
		sizes:     [...]int{qInsAck: idLen, qUpdC: updCLen, qDelC: idLen, qIns: c.Format.Size(), qUpd: c.Format.Size()},
		names:     make(map[Name]Name),
		slices:    make([]slice, c.Slices),
		ureqLimit: limiter{rate: c.RequestRate, burst: c.RequestRate},
		clrLimit:  limiter{rate: clrRate, burst: clrBurst},
		rules:     c.mergeRules(),
		w:         NewWriter(c.Dialect, c.Format, c.MTU),
	}
	for theirs, ours := range c.Interfaces {
		from, _ := MakeName(theirs)
		s.names[from], _ = MakeName(ours)
	}
	for i := range s.slices {
		s.slices[i].size = s.base
	}
	s.entries.reset()
	s.touched.reset()
	s.merging, s.clearing = s.merge, s.cleared
	s.replace = func(id StateID) { s.replaced = append(s.replaced, id) }
	return s, nil
}

// Stats is a copy of the counters.
func (s *Session) Stats() Stats { return s.stats }

// Synced reports whether no bulk update is outstanding: "syncok: 1" of ifconfig.
func (s *Session) Synced() bool { return s.up && s.req.phase == phaseDone }

// Answering reports whether the table is being sent to a peer.
func (s *Session) Answering() bool { return s.ans.running }

// Step tells the session what happened at now, and says what to do. Timers that
// are due run first, whatever the event is.
func (s *Session) Step(now time.Time, ev Event) Output {
	s.begin(now)
	s.take(&ev)
	return s.end()
}

// begin starts a step with the timers that are due. Then come take and end; a step of a
// [Node] may take many events, which have all happened now, and drain meanwhile.
func (s *Session) begin(now time.Time) {
	s.frames, s.release, s.drop = s.frames[:0], s.release[:0], s.drop[:0]
	s.setClock(now)
	s.timers()
}

// take does what comes of an event. It keeps nothing of ev.
func (s *Session) take(ev *Event) {
	switch ev.Kind {
	case EventTimer: // see above
	case EventUp:
		s.goUp()
	case EventDown:
		s.goDown()
	case EventLinkUp:
		s.linkUp()
	case EventLinkDown:
		s.linkDown()
	case EventPacket:
		s.receive(&ev.Packet)
	case EventInsert:
		s.inserted(ev.ID, ev.State)
	case EventUpdate:
		s.updated(ev.ID, ev.Proto)
	case EventDelete:
		id := ev.ID
		if ev.State != nil {
			id = ev.State.StateID
		}
		s.deleted(id, ev.State)
	case EventClear:
		s.clear(ev.IfName)
	case EventResync:
		s.resync()
	case EventFlush:
		s.pushAll()
	case EventResend:
		s.resend(ev.ID)
	}
	s.flushPushed()
	s.touched.sweep(s.clock - touchedFor)
}

// drain returns the frames so far, and forgets them. They are valid until the next
// call of take.
func (s *Session) drain() [][]byte {
	frames := s.frames
	s.frames = s.frames[:0]
	return frames
}

// end says what is to be done after a step.
func (s *Session) end() Output {
	return Output{
		Frames:         s.frames,
		Deadline:       s.deadline(),
		Demotion:       s.req.demotion(s),
		DemotionReason: s.req.reason,
		Release:        s.release,
		Drop:           s.drop,
	}
}

// setClock makes now the time of this step.
func (s *Session) setClock(now time.Time) {
	if s.epoch.IsZero() {
		s.epoch = now.Add(-1)
	}
	s.now = now
	if at := now.Sub(s.epoch); at >= s.clock {
		s.clock = at
	} else {
		s.epoch = now.Add(-s.clock) // the caller's clock was set back: go on from here
	}
}

// due reports whether a timer has come; zero is one that is not armed.
func (s *Session) due(at time.Duration) bool { return at != 0 && at <= s.clock }

// timers runs those that are due.
func (s *Session) timers() {
	for i := range s.slices {
		if sl := &s.slices[i]; s.due(sl.due) {
			s.push(sl)
		}
	}
	s.flushPushed()
	for len(s.defers) > 0 && s.due(s.defers[0].until) {
		s.letGo()
	}
	s.requestTimer()
	s.answerTimer()
}

// deadline is the earliest timer, zero if none is armed.
func (s *Session) deadline() time.Time {
	var first time.Duration
	earlier := func(at time.Duration) {
		if at != 0 && (first == 0 || at < first) {
			first = at
		}
	}
	for i := range s.slices {
		earlier(s.slices[i].due)
	}
	if len(s.defers) > 0 {
		earlier(s.defers[0].until)
	}
	earlier(s.req.timer)
	earlier(s.req.deadline)
	earlier(s.ans.next)
	if first == 0 {
		return time.Time{}
	}
	return s.epoch.Add(first)
}

// goUp is ifconfig pfsync0 up, or the first syncdev.
func (s *Session) goUp() {
	if s.up {
		return
	}
	s.up = true
	s.askAtUp()
}

// goDown forgets everything but the carrier, and lets deferred packets go.
func (s *Session) goDown() {
	s.up = false
	for len(s.defers) > 0 {
		s.letGo()
	}
	for i := range s.slices {
		s.slices[i] = slice{size: s.base, requests: s.slices[i].requests[:0]}
	}
	s.kick = false
	s.entries.reset()
	s.touched.reset()
	s.req = requester{reason: "pfsync down"}
	s.ans = responder{buf: s.ans.buf}
}

// A limiter is a token bucket: so many a second, and some at once.
type limiter struct {
	rate, burst int
	spent       float64 // of the burst
	at          time.Duration
}

// take reports whether there is one left at that time.
func (l *limiter) take(now time.Duration) bool {
	l.spent = max(l.spent-(now-l.at).Seconds()*float64(l.rate), 0)
	l.at = now
	if l.spent+1 > float64(l.burst) {
		return false
	}
	l.spent++
	return true
}
