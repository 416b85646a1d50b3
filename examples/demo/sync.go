package main

import (
	"net/netip"
	"slices"
	"time"

	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/pfsync"
)

// A syncer is pfsync in this event loop: it does what the session wants, and what
// the converger finds beside it, as [pfsync.Node] does.
type syncer struct {
	fw        *firewall
	addr      netip.Addr // on the sync cable
	peer      netip.Addr
	session   *pfsync.Session
	converger *pfsync.Converger
	sideAt    time.Time // when the converger's timer is due
	synced    bool      // as far as was recorded, and so are these
	failed    uint64    // bulk updates
	demotion  int
}

// onSync is the cable between the firewalls, which nobody else is on: what pfsync
// says is not signed.
var onSync = network{172, 16, 0}

// syncDelay is the same for all frames. How many there are depends on the order of
// the states in a hash table, and if chance decided on each of them, then what else
// it decides would depend on that as well.
const syncDelay = 200 * time.Microsecond

// sidePort is the UDP port of the converger.
const sidePort = 7240

// syncGroup is where pfsync goes, 224.0.0.240 as an Ethernet address.
var syncGroup = mac{0x01, 0x00, 0x5e, 0x00, 0x00, 0xf0}

// newSyncer makes the session of a firewall that boots, for its empty table.
func newSyncer(fw *firewall) (*syncer, error) {
	w, number := fw.w, fw.number
	s := &syncer{fw: fw, addr: onSync.host(number), peer: onSync.host(w.other(fw).number)}
	s.converger = pfsync.NewConverger(pfsync.ConvergeConfig{
		HostID: fw.hostID, Epoch: max(w.net.Rand().Uint64(), 1), Peers: []netip.Addr{s.peer},
	}, fw.states)
	var err error
	s.session, err = pfsync.NewSession(pfsync.Config{
		HostID: fw.hostID, Peers: []netip.Addr{s.peer}, Removed: s.converger.WasRemoved, Watch: s.changed,
	}, fw.states)
	return s, err
}

// up takes part from now on. The carrier has been told before.
func (s *syncer) up() {
	s.record(event{Kind: kindBulkStart})
	s.step(pfsync.Event{Kind: pfsync.EventUp})
	s.converged(s.converger.Timer(s.now()))
}

// linked reports whether there is a carrier on the sync cable: that takes power on
// both ends.
func (w *world) linked() bool { return w.synced && w.fw1.on && w.fw2.on }

// carrier tells both ends whether there is one.
func (w *world) carrier() {
	kind := pfsync.EventLinkDown
	if w.linked() {
		kind = pfsync.EventLinkUp
	}
	for _, fw := range []*firewall{w.fw1, w.fw2} {
		if fw.on {
			fw.sync.step(pfsync.Event{Kind: kind})
		}
	}
}

func (s *syncer) now() time.Time { return s.fw.w.net.Now() }

// step tells the session something, and does what it wants: send, demote, wait.
func (s *syncer) step(ev pfsync.Event) {
	out := s.session.Step(s.now(), ev)
	for _, f := range out.Frames {
		s.converger.Sent(pfsync.OpenBSD, f)
		ip := inet.IP{Src: s.addr, Dst: pfsync.Group4, Protocol: pfsync.ProtocolNumber, TTL: 255}
		s.send(ipFrame(syncGroup, onSync.mac(s.fw.number), ip, f))
	}
	s.fw.w.net.SetTimer(s.fw.id, timerSync, out.Deadline)
	s.progress()
	if out.Demotion != s.demotion {
		s.demotion = out.Demotion
		s.fw.contribute("pfsync", out.Demotion, out.DemotionReason)
	}
}

// progress notes when the whole table is asked for, and when it has come.
func (s *syncer) progress() {
	synced := s.session.Synced()
	switch {
	case synced && !s.synced:
		e := event{Kind: kindBulkEnd, States: new(int), Reason: "pfsync done"} // as the kernels say
		*e.States = s.fw.states.Len()
		if n := s.session.Stats().BulkFailed; n > s.failed {
			s.failed, e.Reason = n, "pfsync bulk fail"
		}
		s.record(e)
	case s.synced && !synced:
		s.record(event{Kind: kindBulkStart})
	}
	s.synced = synced
}

// converged does what the converger wants.
func (s *syncer) converged(out pfsync.ConvergeOutput) {
	for _, m := range out.Messages {
		p := packet{proto: protoUDP, ttl: 255, data: m.Data,
			src: netip.AddrPortFrom(s.addr, sidePort), dst: netip.AddrPortFrom(m.Dst, sidePort)}
		s.send(p.frame(onSync.mac(s.fw.w.other(s.fw).number), onSync.mac(s.fw.number)))
	}
	for _, id := range slices.Clone(out.Resend) {
		s.step(pfsync.Event{Kind: pfsync.EventResend, ID: id})
	}
	if out.Resync {
		s.step(pfsync.Event{Kind: pfsync.EventResync})
	}
	if at := out.Deadline; !at.IsZero() && (!s.sideAt.After(s.now()) || at.Before(s.sideAt)) {
		s.sideAt = at
		s.fw.w.net.SetTimer(s.fw.id, timerSide, at)
	}
}

func (s *syncer) send(f []byte) {
	if s.fw.w.linked() {
		s.fw.w.net.Broadcast(s.fw.w.sync, s.fw.id, f)
	}
}

// receive takes in what comes by the sync cable.
func (s *syncer) receive(ip inet.IP, payload []byte) {
	if ip.Protocol == pfsync.ProtocolNumber {
		if f, err := pfsync.Parse(pfsync.OpenBSD, payload); err == nil {
			s.converged(s.converger.Received(s.now(), f.Checksum))
		}
		s.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{
			Data: payload, Src: ip.Src, Dst: ip.Dst, TTL: ip.TTL,
		}})
		return
	}
	if p, ok := parsePacket(ip, payload); ok && p.dst == netip.AddrPortFrom(s.addr, sidePort) {
		out, _ := s.converger.Message(s.now(), p.src.Addr(), p.data) // an error is of the peer's former life
		s.converged(out)
	}
}

// changed keeps up with what the other firewall has done to the table.
func (s *syncer) changed(c pfsync.Change) {
	switch c.Op {
	case pfsync.ChangeInsert:
		s.fw.states.inserted(c.State)
		s.converger.Inserted(c.State.StateID)
	case pfsync.ChangeDelete:
		s.fw.states.removed(c.State.StateID)
		s.converger.Removed(s.now(), c.State.StateID, false)
	}
}

func (s *syncer) record(e event) {
	e.Node, e.Interface = s.fw.name, "sync"
	s.fw.w.record(e)
}
