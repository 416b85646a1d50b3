package sim

import (
	"time"

	"github.com/gocarp/gocarp/carp"
)

// params is what decides the elections of a node, as an outsider sees it. Its
// methods are the kernels' formulas in microseconds, written down a second time
// and in another form than the machine's: they judge it.
type params struct {
	carp.Config
	demotion int
	order    int // breaks ucarp's ties: the lower wins
}

func (p *params) base() int64 {
	switch p.AdvBase {
	case 0:
		return 1
	case carp.SubSecond:
		return 0
	}
	return int64(p.AdvBase)
}

func (p *params) ratio() int64 {
	if p.DeadRatio == 0 {
		return 3
	}
	return int64(p.DeadRatio)
}

// octet is the demotion as OpenBSD tells it and others do not.
func (p *params) octet() int {
	if p.Dialect != carp.OpenBSD {
		return 0
	}
	return min(max(p.demotion, 0), 255)
}

// skew is the effective advskew.
func (p *params) skew() int64 {
	s := int(p.AdvSkew)
	switch p.Dialect {
	case carp.FreeBSD, carp.FreeBSD12:
		return int64(min(max(s+p.demotion, 0), 240))
	case carp.NetBSD, carp.UCarp:
		if p.demotion > 0 && s < 240 {
			s = 240
		}
	}
	return int64(s)
}

// wraps reports the state of FreeBSD 12 in which a node says the opposite of
// what it means: no bound holds for it.
func (p *params) wraps() bool {
	return p.Dialect == carp.FreeBSD12 && int(p.AdvSkew)+p.demotion < 0
}

// own is T_own, and dead T3, in microseconds.
func (p *params) own() int64  { return p.base()*1e6 + p.skew()*1e6/256 }
func (p *params) dead() int64 { return p.ratio()*p.base()*1e6 + p.skew()*1e6/256 }

// yields reports whether p as a master gives way to the adverts of q.
func (p *params) yields(q *params) bool {
	switch {
	case p.Dialect == carp.OpenBSD:
		return q.octet() < p.octet() || q.octet() == p.octet() && p.own() >= q.own()
	case p.Dialect == carp.UCarp:
		return p.own() > q.own() || p.own() == q.own() && q.order < p.order
	}
	return p.own() >= q.own()
}

// takes reports whether p as a backup takes over on hearing the adverts of q.
func (p *params) takes(q *params) bool {
	slow := p.base() != 0 && p.dead() < q.own()
	if p.Dialect != carp.OpenBSD {
		return p.Preempt && p.own() < q.own() || slow
	}
	return p.Preempt && p.own() < q.own() && q.octet() >= p.octet() || q.octet() > p.octet() || slow
}

const unit = time.Second / 256

// masterDown is the time of silence after which p takes over.
func (p *params) masterDown() time.Duration {
	if p.base() == 0 {
		return 3 * unit * time.Duration(max(p.AdvSkew, 1))
	}
	return time.Duration(p.ratio()*p.base())*time.Second + time.Duration(p.AdvSkew)*unit
}

// jitter is the most that a tie adds to it.
func (p *params) jitter() time.Duration { return max(p.masterDown()/32, 4*time.Millisecond) }

// interval is the longest time between two adverts of p as master. A kernel's
// first one may ignore the demotion (carp_setrun).
func (p *params) interval() time.Duration {
	skew := max(p.skew(), int64(p.AdvSkew))
	return max(time.Duration(p.base())*time.Second+time.Duration(skew)*unit, unit)
}

// outlasts reports whether p times out between two adverts of q, or whether that
// hangs on how long they take.
func (p *params) outlasts(q *params, delay time.Duration) (yes, unsure bool) {
	steady := max(time.Duration(q.own())*time.Microsecond, unit)
	yes = p.masterDown()+delay < steady
	return yes, !yes && p.masterDown() <= q.interval()+delay
}

// A verdict says what to expect of a set of nodes that all hear each other.
type verdict uint8

const (
	// strict: of any two nodes one is better, both agree on which, and only a
	// better one ever takes over. Each takeover is a step up an order.
	strict verdict = iota

	// chase: as strict, but there are two that yield to each other. The jitter
	// decides, in a number of rounds that is a matter of chance.
	chase

	// flaps: some node takes over from, or times out under, one that it then
	// yields to, and starts again. The rules of CARP make it so; see TestExceptions.
	flaps
)

// judge classifies nodes whose packets take up to delay.
func judge(nodes []*params, delay time.Duration) verdict {
	v := strict
	for i, p := range nodes {
		for j, q := range nodes {
			if i == j {
				continue
			}
			pYields, qYields := p.yields(q), q.yields(p)
			silent, unsure := p.outlasts(q, delay)
			switch {
			case p.wraps() || unsure || !pYields && !qYields:
				return flaps
			case (p.takes(q) || silent) && !(qYields && !pYields):
				return flaps
			case pYields && qYields:
				if delay*4 > min(p.jitter(), q.jitter()) {
					return flaps // the jitter cannot separate what the delay blurs
				}
				v = chase
			}
		}
	}
	if len(nodes) == 3 && cyclic(nodes) {
		return flaps
	}
	return v
}

// cyclic reports whether three nodes yield in a circle.
func cyclic(n []*params) bool {
	better := func(i, j int) bool { return n[j].yields(n[i]) && !n[i].yields(n[j]) }
	return better(0, 1) && better(1, 2) && better(2, 0) || better(1, 0) && better(2, 1) && better(0, 2)
}

// settled reports whether m stays master for ever once it is the only one.
func settled(nodes []*params, m *params, delay time.Duration) bool {
	for _, p := range nodes {
		if yes, _ := p.outlasts(m, delay); p != m && (yes || p.takes(m)) {
			return false
		}
	}
	return true
}
