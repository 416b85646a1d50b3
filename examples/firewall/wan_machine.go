package main

import "time"

// A wanMachine decides when the one WAN interface of a pair of hosts may be up here.
// Both hosts use the same hardware address and the same lease on it, so that the two
// must not be up together. It is a pure function of time and events, as carp.Machine.
//
// The rule: the interface comes up on the master, once the peer has said that its own
// one is down. Whoever says so thereby takes back what it has asked itself, and asks
// again before it comes up. So of two hosts that can speak to each other one at most is
// up, whatever CARP says and in whatever order messages come.
//
// A peer that does not answer is given a time, and then taken for dead: that is where
// both may be up, if it is alive and master, too. When they can speak again, the one
// with the lower number goes down.
type wanMachine struct {
	cfg wanPolicy
	id  uint32 // ours; of two that want the same the higher one has it

	state      wanState
	why        string // of the state
	since      time.Time
	role       wanRole
	unplanned  bool // the last master just fell silent
	confirmed  bool // up, or about to be, with the peer's word
	stopped    bool
	seq        uint64    // of the last question
	asked      bool      // it is not answered
	askAt      time.Time // the next one
	silent     time.Time // when we heard of another host last, by any way
	unanswered bool      // a question since
	again      time.Time // the next try to lower
}

// A wanPolicy is how a wanMachine treats a peer that does not answer.
type wanPolicy struct {
	confirm  time.Duration // after a master fell silent
	wait     time.Duration // after a master left
	stayDown bool          // not at all without the peer's word
}

// A wanState is what becomes of the interface.
type wanState uint8

const (
	wanLowering wanState = iota // at first, too
	wanDown
	wanAsking // down, but wanted
	wanRaising
	wanUp
)

func (s wanState) String() string {
	return [...]string{"going down", "down", "waiting", "coming up", "up"}[s]
}

// A wanRole is what CARP makes of this host.
type wanRole uint8

const (
	wanBackup  wanRole = iota
	wanLeaving         // no master any more, but it forwards until its successor does
	wanMaster          // and the addresses are here
)

// A wanEvent is something that happened.
type wanEvent struct {
	kind wanEventKind

	role      wanRole // wanRoleIs
	unplanned bool    // wanRoleIs: master because the last one fell silent
	heard     bool    // wanRoleIs: another host has advertised since the last time

	from uint32 // wanAsked: the number of the peer
	up   bool   // wanAsked: it is up, and wants to stay so

	seq    uint64    // wanAnswered: which question
	answer wanAnswer // wanAnswered

	failed bool // wanRaised, wanLowered
}

type wanEventKind uint8

const (
	wanTimer    wanEventKind = iota
	wanRoleIs                // CARP, whether it has changed or not
	wanAsked                 // by the peer: are you down?
	wanAnswered              // by the peer, or nobody
	wanRaised                // done
	wanLowered               // done
	wanStop                  // down for good
)

// A wanAnswer is that to "are you down?".
type wanAnswer uint8

const (
	wanNoAnswer wanAnswer = iota
	wanGranted            // it is down, and will ask before it comes up
	wanRefused            // it is up, or comes first
	wanLater              // it is on its way down
)

// A wanOutput is what to do about an event.
type wanOutput struct {
	raise, lower bool      // one after the other: each ends with an event
	ask          uint64    // ask the peer; 0: do not
	answer       wanAnswer // to wanAsked
	deadline     time.Time // call again then, zero: no need
}

const (
	// wanAskAgain is after an answer that was not yet what we want.
	wanAskAgain = 50 * time.Millisecond

	// wanAskSilent is after none.
	wanAskSilent = 250 * time.Millisecond

	// wanVerifySoon is how often a host asks that is up without the peer's word, and
	// wanVerify with it: both are up after a split that nobody could see.
	wanVerifySoon = time.Second
	wanVerify     = 10 * time.Second

	// wanRetry is after a raise or a lower that failed.
	wanRetry = time.Second
)

// newWANMachine is one that begins by lowering the interface.
func newWANMachine(cfg wanPolicy, id uint32, now time.Time) *wanMachine {
	return &wanMachine{cfg: cfg, id: id, why: "start", since: now, again: now}
}

// step feeds ev, observed at now, and returns what to do.
func (m *wanMachine) step(now time.Time, ev wanEvent) wanOutput {
	var out wanOutput
	switch ev.kind {
	case wanTimer:
	case wanRoleIs:
		m.carp(now, ev, &out)
	case wanStop:
		m.stopped = true
		m.carp(now, wanEvent{role: wanBackup}, &out)
	case wanAsked:
		out.answer = m.question(now, ev, &out)
	case wanAnswered:
		m.answer(now, ev, &out)
	case wanRaised:
		if m.state == wanRaising && ev.failed {
			m.lower(now, &out, "it could not be set up")
			m.askAt = now.Add(wanRetry)
		} else if m.state == wanRaising {
			m.enter(now, wanUp, m.why)
		}
	case wanLowered:
		if m.state == wanLowering && ev.failed {
			m.again = now.Add(wanRetry)
		} else if m.state == wanLowering {
			m.enter(now, wanDown, m.why)
			m.want(now)
		}
	}
	m.due(now, &out)
	return out
}

// carp takes in what CARP makes of this host.
func (m *wanMachine) carp(now time.Time, ev wanEvent, out *wanOutput) {
	if m.stopped {
		ev.role = wanBackup
	}
	if ev.role == wanMaster && m.role != wanMaster {
		m.unplanned = ev.unplanned
	}
	m.role = ev.role
	if ev.heard {
		m.alive(now)
	}
	switch {
	case m.role == wanMaster && m.state == wanDown:
		m.want(now)
	case m.role != wanMaster && m.state == wanAsking:
		m.enter(now, wanDown, "not master")
	case m.role == wanBackup && (m.state == wanRaising || m.state == wanUp):
		m.lower(now, out, "not master")
	}
}

// want begins to ask if this host is master. After a failure it waits first.
func (m *wanMachine) want(now time.Time) {
	if m.role != wanMaster {
		return
	}
	m.enter(now, wanAsking, "master, waiting for the peer's word")
	m.alive(now)
	if m.askAt.Before(now) {
		m.askAt = now
	}
}

// question is the peer's, who wants to be up.
func (m *wanMachine) question(now time.Time, ev wanEvent, out *wanOutput) wanAnswer {
	m.alive(now)
	switch m.state {
	case wanDown:
		return wanGranted
	case wanAsking:
		if !ev.up && m.id >= ev.from {
			return wanRefused
		}
		m.asked = false // whatever the peer has answered, it knows more now
		m.askAt = now.Add(wanAskAgain)
		return wanGranted
	case wanRaising, wanUp:
		switch {
		case m.role != wanMaster:
			m.lower(now, out, "the peer is master")
		case ev.up && ev.from > m.id:
			m.lower(now, out, "both were up, and the peer stays")
		default:
			return wanRefused
		}
	}
	return wanLater
}

// answer is the peer's to our question.
func (m *wanMachine) answer(now time.Time, ev wanEvent, out *wanOutput) {
	if ev.answer != wanNoAnswer {
		m.alive(now)
	}
	if !m.asked || ev.seq != m.seq {
		return // things have changed since
	}
	m.asked = false
	switch {
	case m.state == wanAsking && ev.answer == wanGranted:
		m.confirmed = true
		m.raise(now, out, "the peer's is down")
	case m.state == wanAsking && ev.answer == wanNoAnswer:
		m.unanswered = true
		m.askAt = now.Add(wanAskSilent)
	case m.state == wanAsking:
		m.askAt = now.Add(wanAskAgain)
	case m.state == wanUp && ev.answer == wanRefused:
		m.lower(now, out, "both were up, and the peer stays")
	case m.state == wanUp:
		m.confirmed = m.confirmed || ev.answer == wanGranted
		m.verify(now)
	}
}

// alive notes that there is another host.
func (m *wanMachine) alive(now time.Time) { m.silent, m.unanswered = now, false }

// verify asks again in a while.
func (m *wanMachine) verify(now time.Time) {
	m.askAt = now.Add(wanVerifySoon)
	if m.confirmed {
		m.askAt = now.Add(wanVerify)
	}
}

func (m *wanMachine) raise(now time.Time, out *wanOutput, why string) {
	out.raise, m.asked = true, false
	m.enter(now, wanRaising, why)
	m.verify(now)
}

func (m *wanMachine) lower(now time.Time, out *wanOutput, why string) {
	out.lower, m.asked = true, false
	m.enter(now, wanLowering, why)
	m.confirmed, m.again = false, time.Time{}
	m.askAt = now.Add(wanAskAgain)
}

func (m *wanMachine) enter(now time.Time, s wanState, why string) {
	if m.state != s {
		m.since = now
	}
	m.state, m.why = s, why
}

// due does what the time has come for, and says when there will be more.
func (m *wanMachine) due(now time.Time, out *wanOutput) {
	switch m.state {
	case wanLowering:
		if !m.again.IsZero() && !now.Before(m.again) {
			out.lower, m.again = true, time.Time{}
		}
		out.deadline = m.again
	case wanAsking:
		patience := m.cfg.wait
		if m.unplanned {
			patience = m.cfg.confirm
		}
		dead := m.silent.Add(patience)
		given := m.unanswered && !m.cfg.stayDown // the peer has a time, and no more
		if given && !now.Before(dead) {
			m.raise(now, out, "the peer does not answer")
			return
		}
		m.ask(now, out)
		if given && (out.deadline.IsZero() || dead.Before(out.deadline)) {
			out.deadline = dead
		}
	case wanUp:
		m.ask(now, out)
	}
}

// ask asks if it is time, and no question is open.
func (m *wanMachine) ask(now time.Time, out *wanOutput) {
	if m.asked {
		return
	}
	if out.deadline = m.askAt; now.Before(m.askAt) {
		return
	}
	m.seq++
	m.asked, out.ask, out.deadline = true, m.seq, time.Time{}
}
