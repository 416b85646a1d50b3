package carp

import "time"

// A Machine is the state machine of one virtual host: BACKUP, MASTER or INIT,
// its advert timer and a master-down timer for each address family. It is a
// function of what it is told and when. It reads no clock, does no I/O, starts
// no goroutine and does not allocate.
//
// Nodes of equal advbase and advskew can chase each other: both masters yield at
// the other's advert, wait equally long and clash again. A machine that yielded
// where its peer may have done the same takes over later than it would, for the
// next two master-down times, by a jitter that is drawn from [Config.Seed]: up to
// 1/32 of its master-down time, or 4 ms. A BSD peer sees nothing of it.
type Machine struct {
	cfg   Config
	rules *traits

	state     State
	up        bool // EventUp, not EventDown
	link      Link
	forbidden bool // allow=0, where that stops the machine
	families  Families
	demotion  int

	ad      time.Time    // MASTER: the next advert
	md      [2]time.Time // BACKUP: when the master is dead, by family
	leaving time.Time    // MASTER: bowed out, and gone by then

	late      time.Duration // BACKUP after a tie: how much later to take over
	lateUntil time.Time     // and for how long that holds
	claim     time.Time     // BACKUP: when to take over from the master that was heard
	claimWhy  Reason

	announce int // adverts until the addresses are announced once more
	random   uint64
}

// NewMachine makes a machine in INIT that waits for EventUp. c must be valid.
func NewMachine(c Config, f Families) *Machine {
	return &Machine{cfg: c, rules: c.Dialect.traits(), families: f, random: c.Seed}
}

// State is the current state.
func (m *Machine) State() State { return m.state }

// Leaving reports whether m is a master that has bowed out and waits for its
// successor.
func (m *Machine) Leaving() bool { return !m.leaving.IsZero() }

// Demotion is the demotion counter as last told.
func (m *Machine) Demotion() int { return m.demotion }

// Step feeds ev, observed at now, to the machine and reports what to do.
func (m *Machine) Step(now time.Time, ev Event) Output {
	out := Output{From: m.state}
	switch ev.Kind {
	case EventTimer:
		m.timer(now, &out)
	case EventUp:
		m.up = true
		if m.Leaving() {
			m.backup(now, &out, ReasonUp) // it has said goodbye
		}
		m.settle(now, &out, ReasonUp)
	case EventDown:
		m.down(now, &out)
	case EventLink:
		m.link = ev.Link
		m.settle(now, &out, ReasonLinkDown)
	case EventAllow:
		m.forbidden = !ev.Allow && m.rules.allowStops
		m.settle(now, &out, ReasonForbidden)
	case EventAdvert:
		m.advert(now, &ev, &out)
	case EventDemote:
		m.demote(now, ev.Demote, &out)
	case EventForce:
		m.force(now, ev.Force, &out)
	case EventConfig:
		m.config(now, ev.Config, &out)
	case EventKey:
		if m.rules.rearms {
			m.rearm(now)
		}
	case EventAddrs:
		m.addrs(now, &ev, &out)
	case EventTaken:
		if m.state == Master && !m.Leaving() {
			m.ad = now.Add(m.firstInterval())
		}
	case EventRefused:
		if m.state == Master {
			m.backup(now, &out, ReasonRefused)
		}
	case EventStall:
		m.stall(now, &out)
	}
	out.To, out.Deadline = m.state, m.deadline()
	if out.From == out.To {
		out.Reason = ReasonNone
	}
	return out
}

// deadline is the earliest timer, zero if none is armed.
func (m *Machine) deadline() time.Time {
	switch {
	case m.state == Init:
		return time.Time{}
	case m.Leaving():
		return m.leaving
	case m.state == Master:
		return m.ad
	}
	var first time.Time
	for _, t := range [...]time.Time{m.md[0], m.md[1], m.claim} {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}

// timer acts on the deadline, if it has come.
func (m *Machine) timer(now time.Time, out *Output) {
	d := m.deadline()
	switch {
	case d.IsZero() || now.Before(d): // early, or meant for a timer that was re-armed
	case m.Leaving():
		m.stop(out, ReasonNoSuccessor)
	case m.state == Master:
		m.advertise(now, out)
	case d.Equal(m.claim):
		m.master(now, out, m.claimWhy)
	default:
		m.master(now, out, ReasonMasterTimeout)
	}
}

// settle moves between INIT and the rest as the conditions of taking part
// demand (carp_setrun, carp_sc_state); why is for leaving.
func (m *Machine) settle(now time.Time, out *Output, why Reason) {
	linkOK := m.link == LinkUp || m.link == LinkUnknown && m.rules.unknownIsUp
	switch runs := (m.up || m.Leaving()) && linkOK && !m.forbidden && m.families != 0; {
	case !runs && m.state != Init:
		m.stop(out, why)
	case runs && m.state == Init:
		m.backup(now, out, ReasonUp)
	}
}

// down is carp_ioctl with IFF_UP cleared: a master bows out. FreeBSD has no such
// message, but understands it.
func (m *Machine) down(now time.Time, out *Output) {
	m.up = false
	switch {
	case m.state == Master && m.Leaving(): // still waiting
	case m.state == Master:
		out.Send = true
		out.Advert = m.header()
		out.Advert.AdvBase, out.Advert.AdvSkew = Infinite, Infinite
		if m.cfg.Linger > 0 {
			m.leaving = now.Add(m.cfg.Linger)
			return
		}
		m.stop(out, ReasonDown)
	case m.state == Backup:
		m.stop(out, ReasonDown)
	}
}

// advert is carp_proto_input_c, from the election on: who yields to whom.
func (m *Machine) advert(now time.Time, ev *Event, out *Output) {
	h := &ev.Advert
	switch {
	case m.Leaving():
		if !h.BowOut() {
			m.stop(out, ReasonHandedOver)
		}
	case m.state == Master:
		if why := m.yields(ev); why != ReasonNone {
			m.yield(now, why, ev, out)
		} else if m.announce == 0 { // else one is under way
			out.Reassert, m.announce = true, 2
		}
	case m.state == Backup:
		switch why := m.outruns(h); {
		case why == ReasonNone:
			m.claim = time.Time{}
			m.arm(now, ev.Family)
		case m.delay(now) == 0:
			m.master(now, out, why)
		case m.claim.IsZero():
			m.claim, m.claimWhy = now.Add(m.late), why
		}
	}
}

// yields says why a master gives way to ev, if it does.
func (m *Machine) yields(ev *Event) Reason {
	if m.rules.demoteOctet {
		switch theirs, ours := int(ev.Advert.Demote), m.demoteOctet(); {
		case theirs < ours:
			return ReasonLessDemoted
		case theirs > ours:
			return ReasonNone
		}
	}
	switch theirs, ours := ev.Advert.pace(), m.pace(); {
	case theirs.before(ours):
		return ReasonBetterMaster
	case theirs == ours && (ev.Lower || !m.rules.tieByAddress):
		return ReasonEqualMaster
	}
	return ReasonNone
}

// yield makes a master a backup. The peer may have yielded too if it is an equal,
// or if it does not know of demotions and we are the faster one.
func (m *Machine) yield(now time.Time, why Reason, ev *Event, out *Output) {
	if m.rules.lastAdvert {
		out.Send, out.Advert = true, m.header()
	}
	mutual := why == ReasonEqualMaster || why == ReasonLessDemoted && !ev.Advert.pace().before(m.pace())
	m.backup(now, out, why)
	if mutual {
		m.late, m.lateUntil = m.jitter(), now.Add(2*m.cfg.MasterDown())
		m.arm(now, m.families)
	}
}

// delay is how much later to take over because of a tie.
func (m *Machine) delay(now time.Time) time.Duration {
	if now.Before(m.lateUntil) {
		return m.late
	}
	return 0
}

// outruns says why a backup takes over from the sender of h, if it does.
func (m *Machine) outruns(h *Header) Reason {
	theirs := h.pace()
	less, more := false, false // is the sender demoted less, more than we are?
	if m.rules.demoteOctet {
		less, more = int(h.Demote) < m.demoteOctet(), int(h.Demote) > m.demoteOctet()
	}
	dead := pace{m.cfg.deadRatio() * m.cfg.advBase(), m.skew()}
	switch slow := dead.base > 0 && dead.before(theirs); {
	case slow && h.BowOut():
		return ReasonMasterLeft
	case m.cfg.Preempt && m.pace().before(theirs) && !less:
		return ReasonPreempt
	case more:
		return ReasonMasterDemoted
	case slow:
		return ReasonMasterSlow
	}
	return ReasonNone
}

// demote takes a new demotion counter. A master that must give way says so at
// once. OpenBSD does that for what the operator asks for, and for a counter that
// goes from 0 to 1 (carp_group_demote_adj); the rest waits for the next advert.
func (m *Machine) demote(now time.Time, n int, out *Output) {
	old := m.demotion
	m.demotion = n
	if m.state == Master && !m.Leaving() && n != old && (n > old || m.rules.everyDemote) {
		m.advertise(now, out)
	}
}

// force is ifconfig's "state". INIT cannot be forced, and nothing in INIT.
func (m *Machine) force(now time.Time, to State, out *Output) {
	switch {
	case m.state == Backup && to == Master:
		m.master(now, out, ReasonForced)
	case m.state == Master && to == Backup && !m.Leaving():
		m.backup(now, out, ReasonForced)
	}
}

// config takes a new configuration. OpenBSD re-arms its timers for a new
// interval, FreeBSD lets the running one expire.
func (m *Machine) config(now time.Time, c Config, out *Output) {
	paced := c.advBase() != m.cfg.advBase() || c.AdvSkew != m.cfg.AdvSkew || c.deadRatio() != m.cfg.deadRatio()
	m.cfg = c
	if paced && m.rules.rearms {
		m.rearm(now)
	}
}

// addrs takes a new address set. Peers that still have the old one will not
// accept our adverts, nor we theirs.
func (m *Machine) addrs(now time.Time, ev *Event, out *Output) {
	m.families = ev.Families
	switch {
	case m.families == 0 || m.state == Init || m.Leaving():
		m.settle(now, out, ReasonAddrs)
	case ev.Added || !m.rules.keepsRemoved:
		m.backup(now, out, ReasonAddrs)
	default:
		m.rearm(now)
	}
}

// stall forgets what was known of the peers. A master that stood still may have
// been replaced: it listens for a whole master-down time before it speaks.
func (m *Machine) stall(now time.Time, out *Output) {
	switch {
	case m.Leaving():
		m.stop(out, ReasonNoSuccessor)
	case m.state == Master:
		m.backup(now, out, ReasonStalled)
	case m.state == Backup:
		m.claim = time.Time{}
		m.arm(now, m.families)
	}
}

// master enters MASTER (carp_master_down).
func (m *Machine) master(now time.Time, out *Output, why Reason) {
	m.state, out.Reason = Master, why
	m.disarm()
	m.announce = 3 // the advert below is the first of them
	m.advertise(now, out)
	m.ad = now.Add(m.firstInterval())
	out.Announce = true
}

// backup enters BACKUP from any state.
func (m *Machine) backup(now time.Time, out *Output, why Reason) {
	m.state, out.Reason = Backup, why
	m.disarm()
	m.arm(now, m.families)
}

// stop enters INIT.
func (m *Machine) stop(out *Output, why Reason) {
	m.state, out.Reason = Init, why
	m.disarm()
}

// disarm stops all timers and forgets what belongs to the state that is left.
func (m *Machine) disarm() {
	m.ad, m.leaving, m.md = time.Time{}, time.Time{}, [2]time.Time{}
	m.late, m.lateUntil, m.claim = 0, time.Time{}, time.Time{}
}

// advertise sends an advert and arms the next one.
func (m *Machine) advertise(now time.Time, out *Output) {
	out.Send, out.Advert = true, m.header()
	m.ad = now.Add(m.interval())
	if m.announce > 0 {
		m.announce--
		out.Announce = m.announce == 0
	}
}

// rearm starts the timers of the state anew.
func (m *Machine) rearm(now time.Time) {
	switch {
	case m.state == Master && !m.Leaving():
		m.ad = now.Add(m.interval())
	case m.state == Backup:
		m.md = [2]time.Time{}
		m.arm(now, m.families)
	}
}

// arm starts the master-down timers of those of the families f that are in use.
func (m *Machine) arm(now time.Time, f Families) {
	t := now.Add(m.cfg.MasterDown() + m.delay(now))
	if f&m.families&IPv4 != 0 {
		m.md[0] = t
	}
	if f&m.families&IPv6 != 0 {
		m.md[1] = t
	}
}

// header is our advert.
func (m *Machine) header() Header {
	h := Header{VHID: m.cfg.VHID, AdvBase: uint8(m.cfg.advBase()), AdvSkew: uint8(m.skew())}
	if m.rules.demoteOctet {
		h.Demote = uint8(m.demoteOctet())
	}
	return h
}

// demoteOctet is octet 4 of OpenBSD's adverts, D_own of the election.
func (m *Machine) demoteOctet() int { return min(max(m.demotion, 0), 255) }

// maxDemotion bounds what is added to an advskew, so that the sum cannot overflow.
const maxDemotion = 1 << 30

// skew is the advskew that is advertised and compared, the demotion folded in
// where the dialect does so.
func (m *Machine) skew() int {
	s := int(m.cfg.AdvSkew)
	d := min(max(m.demotion, -maxDemotion), maxDemotion)
	switch {
	case m.rules.demoteOctet:
	case m.rules.suppress:
		if d > 0 {
			s = max(s, maxDemotedSkew)
		}
	case m.rules.negative:
		s = min(s+d, maxDemotedSkew)
	default:
		s = max(min(s+d, maxDemotedSkew), 0)
	}
	return s
}

// raw is the configured pace, and pace the one with the demotion.
func (c *Config) raw() pace   { return pace{c.advBase(), int(c.AdvSkew)} }
func (m *Machine) pace() pace { return pace{m.cfg.advBase(), m.skew()} }

// interval is the time to the next advert: at least 1/256 s.
func (m *Machine) interval() time.Duration { return max(m.pace().duration(), skewUnit) }

// minJitter is the least range of the jitter: more than an advert takes to arrive.
const minJitter = 4 * time.Millisecond

// firstInterval is the time between the first two adverts of a master.
func (m *Machine) firstInterval() time.Duration {
	if m.rules.rawFirst {
		return m.cfg.raw().duration()
	}
	return m.interval()
}

// jitter is what a tie adds to the master-down time (splitmix64).
func (m *Machine) jitter() time.Duration {
	m.random += 0x9e3779b97f4a7c15
	z := m.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return time.Duration((z ^ z>>31) % uint64(max(m.cfg.MasterDown()/32, minJitter)))
}
