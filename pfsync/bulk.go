package pfsync

import "time"

// A requester asks for the whole table and sees to it that it comes.
//
//	phase    event        does                                    becomes
//	down     up           demote                                  start (1) or sent
//	start    link up      request                                 sent
//	         30 s         done                                    done
//	sent     BUS start                                            bulk
//	         BUS end      (2)                                     done
//	         retry time   request, or done after too many         sent
//	bulk     UPD          (3) wait for another retry time
//	         BUS end                                              done
//	         time-out     (3) as in sent                          sent
//	done     link up      (3) if it was lost: request             sent
//
// (1) OpenBSD with no link. (2) FreeBSD: if its time fits; OpenBSD: if nothing has
// been heard since the request, which makes it the word of an empty peer.
// (3) Not with KernelExact: see exactTimeout.
type requester struct {
	phase    phase
	requests int           // of this update
	asked    time.Duration // when the first of them was made
	timer    time.Duration
	deadline time.Duration // of the whole update
	heard    bool          // a state came since the last request
	demoted  bool          // by the outstanding update
	lost     bool          // the link; demotes by 1 where that counts
	reason   string        // of the last change of the demotion
}

type phase uint8

const (
	phaseDown phase = iota
	phaseStart
	phaseSent
	phaseBulk
	phaseDone
)

// waitForLink is how long OpenBSD does so before it gives the first update up.
const waitForLink = 30 * time.Second

// kernelStates is the default limit of a kernel's state table, by which kernels
// reckon how long a bulk update may take.
const kernelStates = 100000

// demotion is what is added to the counter now.
func (r *requester) demotion(s *Session) int {
	n := 0
	if r.demoted {
		n = s.cfg.Demote
	}
	if r.lost && s.habits.link {
		n++
	}
	return n
}

// askAtUp begins the first update.
func (s *Session) askAtUp() {
	r := &s.req
	r.lost = s.link == linkDown || s.habits.link && s.link != linkUp
	r.demoted, r.reason = true, s.habits.start
	s.stats.BulkStarted++
	s.arm()
	if s.habits.link && r.lost {
		r.phase, r.timer = phaseStart, s.clock+waitForLink
		return
	}
	s.ask()
}

// arm sets the deadline of an update that begins.
func (s *Session) arm() {
	s.req.requests, s.req.asked = 0, s.clock
	if !s.cfg.KernelExact {
		s.req.deadline = s.clock + s.cfg.Bulk.Deadline
	}
}

// ask sends a request.
func (s *Session) ask() {
	r := &s.req
	r.phase, r.heard, r.timer = phaseSent, false, s.clock+s.habits.retry
	r.requests++
	s.unknown = append(s.unknown[:0], StateID{})
	s.request(s.unknown)
}

// resync asks for the whole table again, or once more for what is outstanding.
// FreeBSD does so whenever it is configured, with a demotion as at the start, and
// sends what waits before.
func (s *Session) resync() {
	r := &s.req
	switch {
	case !s.up || r.phase == phaseStart:
		return
	case s.cfg.KernelExact:
		s.pushAll()
		s.flushPushed()
		if !r.demoted && s.habits.joins {
			r.demoted, r.reason = true, s.habits.start
		}
	case r.phase != phaseDone:
		if r.requests < s.habits.requests {
			s.ask()
		}
		return
	}
	s.stats.BulkStarted++
	s.arm()
	s.ask()
}

func (s *Session) linkUp() {
	s.link = linkUp
	r := &s.req
	if !s.up || !r.lost {
		return
	}
	r.lost = false
	if s.habits.link {
		r.reason = "pfsync link"
	}
	switch {
	case r.phase == phaseStart:
		s.ask()
	case r.phase == phaseDone && !s.cfg.KernelExact:
		s.resync()
	}
}

func (s *Session) linkDown() {
	s.link = linkDown
	if !s.up || s.req.lost {
		return
	}
	s.req.lost = true
	if s.habits.link {
		s.req.reason = "pfsync link"
	}
}

// requestTimer acts on the deadline and the time-outs.
func (s *Session) requestTimer() {
	r := &s.req
	switch {
	case s.due(r.deadline):
		s.finish(false)
	case !s.due(r.timer):
	case r.phase == phaseStart || r.requests == s.habits.requests:
		s.finish(false)
	case r.phase == phaseBulk && s.cfg.KernelExact && s.habits.link:
		s.ask() // and that was it: a break is missing in pfsync_bulk_req_evt
		s.finish(false)
	default:
		s.ask()
	}
}

// heard takes note of a whole state that came.
func (s *Session) heard() {
	s.req.heard = true
	if s.req.phase == phaseBulk && !s.cfg.KernelExact {
		s.req.timer = s.clock + s.habits.retry
	}
}

// bulkStarted takes note of a BUS start.
func (s *Session) bulkStarted() {
	r := &s.req
	switch {
	case r.phase == phaseStart, r.phase == phaseSent, r.phase == phaseBulk && s.habits.endTime:
		r.phase = phaseBulk
		r.timer = s.clock + s.bulkTimeout()
	}
}

// bulkTimeout is how long to wait for the first state of an update, or with
// KernelExact for all of it.
func (s *Session) bulkTimeout() time.Duration {
	frame := (s.cfg.MTU - s.base) / s.sizes[qUpd]
	switch {
	case !s.cfg.KernelExact:
		return s.habits.retry
	case s.habits.link:
		return 4 * time.Duration(max(kernelStates/frame/50, 1)) * time.Second
	}
	return 4*time.Second + time.Duration(kernelStates/frame)*time.Millisecond
}

// bulkEnded takes note of a BUS end.
func (s *Session) bulkEnded(m *Bus) {
	r := &s.req
	ours := r.phase == phaseBulk
	switch {
	case s.habits.endTime:
		// One that has gone on for longer than we have asked is another's.
		ago := time.Duration(m.EndTime) * time.Second
		ours = (ours || r.phase == phaseSent) && ago < s.clock-r.asked+time.Second
	case r.phase == phaseSent && !s.cfg.KernelExact:
		ours = !r.heard
	}
	if ours {
		s.finish(true)
	}
}

// finish ends an update.
func (s *Session) finish(done bool) {
	r := &s.req
	r.phase, r.timer, r.deadline = phaseDone, 0, 0
	reason := s.habits.done
	if done {
		s.stats.BulkDone++
	} else {
		s.stats.BulkFailed++
		reason = "pfsync bulk fail"
	}
	if r.demoted {
		r.demoted, r.reason = false, reason
	}
}
