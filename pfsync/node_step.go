package pfsync

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"
)

// ErrStopped is what calls fail with once a node is not running any more.
var ErrStopped = errors.New("pfsync: node is not running any more")

// do runs f on the node's goroutine. It waits for Run to begin.
func (n *Node) do(ctx context.Context, f func()) error {
	select {
	case <-n.ready:
	case <-n.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	finished := make(chan struct{})
	select {
	case n.calls <- func() { f(); close(finished) }:
		<-finished
		return nil
	case <-n.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Resync asks the peers for their whole tables, again.
func (n *Node) Resync(ctx context.Context) error {
	return n.do(ctx, func() { n.step(Event{Kind: EventResync}) })
}

// Flush sends what is queued, instead of waiting for more. What the embedder has
// told the node before is among it.
func (n *Node) Flush(ctx context.Context) error {
	return n.do(ctx, func() {
		n.takeLocal()
		n.step(Event{Kind: EventFlush})
	})
}

// receive takes in what was read at once.
func (n *Node) receive(b *batch) {
	resync := false
	n.begin()
	for i := range b.packets[:b.n] {
		p := &b.packets[i]
		if n.converger != nil && len(p.Data) >= headerLen && n.session.admit(p) == nil {
			out := n.converger.Received(n.stepped, [16]byte(p.Data[4:]))
			resync = resync || out.Resync
			n.told(&out)
		}
		n.take(&Event{Kind: EventPacket, Packet: *p})
	}
	if resync {
		n.take(&Event{Kind: EventResync})
	}
	n.finish()
	n.free <- b
	n.repair()
}

// receiveSide takes in a datagram of the side channel.
func (n *Node) receiveSide(p *SidePacket) {
	out, err := n.converger.Message(time.Now(), p.Src, p.Data)
	if err != nil {
		n.badSide++
		if n.log.Enabled(context.Background(), slog.LevelDebug) { // there may be many
			n.log.Debug("pfsync: datagram of the side channel dropped", "src", p.Src, "err", err)
		}
	}
	n.freed <- p
	n.converged(out)
	n.arm()
}

// converge does what is due about the agreement of the tables.
func (n *Node) converge() {
	if n.converger != nil {
		n.converged(n.converger.Timer(time.Now()))
	}
}

// converged does what the converger has found out.
func (n *Node) converged(out ConvergeOutput) {
	n.told(&out)
	if out.Resync {
		n.step(Event{Kind: EventResync})
	}
	n.repair()
}

// told does what the converger has found out and the session need not know.
func (n *Node) told(out *ConvergeOutput) {
	var failed netip.Addr // there is no room for the next one, either, and each may have to wait for that
	for _, m := range out.Messages {
		if m.Dst == failed {
			continue
		}
		if err := n.cfg.Side.WritePacket(m.Dst, m.Data); err != nil && !errors.Is(err, net.ErrClosed) {
			n.sendFailed(m.Dst, err)
			failed = m.Dst
		}
	}
	n.resend = append(n.resend, out.Resend[:min(len(out.Resend), max(repairLimit-len(n.resend), 0))]...)
	if at := out.Deadline; !at.IsZero() && (n.sideAt.IsZero() || at.Before(n.sideAt) || !n.sideAt.After(time.Now())) {
		n.sideAt = at
		n.sideTimer.set(at)
	}
}

const (
	// repairBurst is the number of states sent again at once, and repairLimit how
	// many may wait for that. The next comparison finds those that did not.
	repairBurst = 256
	repairLimit = 1 << 20
)

// repair sends states again, as many as a peer can take in now.
func (n *Node) repair() {
	now := time.Now()
	if len(n.resend) == 0 || now.Before(n.repairAt) {
		return
	}
	if !n.converger.Behind(now) {
		burst := n.resend[:min(repairBurst, len(n.resend))]
		n.begin()
		for _, id := range burst {
			n.take(&Event{Kind: EventResend, ID: id})
		}
		n.finish()
		n.resend = n.resend[len(burst):]
	}
	n.repairAt = now.Add(repairPause)
	n.repairTimer.set(n.repairAt)
}

// repairPause is the time between two bursts.
const repairPause = time.Millisecond

// takeLocal takes in what the embedder has done.
func (n *Node) takeLocal() {
	for _, events := range n.local.take() {
		n.begin()
		for i := range events {
			n.takeEvent(&events[i])
		}
		n.finish()
	}
}

// takeEvent takes a change into the step.
func (n *Node) takeEvent(ev *localEvent) {
	now := n.stepped
	e := Event{Kind: ev.kind, ID: ev.id, Proto: ev.proto}
	switch ev.kind {
	case EventInsert:
		// It may be gone again. The session looks for it when it writes its message.
		buried := n.converger != nil && n.converger.buried(ev.id)
		if (buried || n.watched.Load()) && n.cfg.Store.Get(now, ev.id, &n.scratch) {
			e.State = &n.scratch
			if buried {
				n.converger.Inserted(ev.id)
			}
			n.observe(ChangeInsert, true, &n.scratch)
		}
	case EventUpdate:
		if n.watched.Load() && n.cfg.Store.Get(now, ev.id, &n.scratch) {
			n.observe(ChangeUpdate, true, &n.scratch)
		}
	case EventDelete:
		if ev.expired && n.cfg.Store.Get(now, ev.id, &n.scratch) {
			return // a peer where it lives has brought it back meanwhile
		}
		n.removed(now, ev.id, true, ev.expired)
	case EventClear:
		e.IfName = n.local.nextClear()
		if n.converger != nil && e.IfName == (Name{}) {
			n.converger.Cleared(now)
		}
	}
	n.take(&e)
}

// removed takes note of the end of a state. One that has merely expired may live on
// where packets have passed that this node has not heard of.
func (n *Node) removed(now time.Time, id StateID, local, expired bool) {
	if n.converger != nil && !expired {
		n.converger.Removed(now, id, local)
	}
	if n.watched.Load() {
		n.observe(ChangeDelete, local, &State{StateID: id})
	}
}

// changed takes note of what a peer has done.
func (n *Node) changed(c Change) {
	if c.Op == ChangeDelete {
		n.removed(n.stepped, c.State.StateID, false, false)
		return
	}
	if c.Op == ChangeInsert && n.converger != nil {
		n.converger.Inserted(c.State.StateID)
	}
	n.observe(c.Op, false, c.State)
}

// observe tells the watchers.
func (n *Node) observe(op ChangeOp, local bool, st *State) {
	if n.watched.Load() {
		n.tell(&Observation{op, local, *st})
	}
}

// expire has the store remove what is due, and tells the peers.
func (n *Node) expire() {
	x, ok := n.cfg.Store.(Expirer)
	if !ok {
		return
	}
	n.expired = n.expired[:0]
	for range expireRounds {
		if x.Expire(time.Now(), func(id StateID) { n.expired = append(n.expired, id) }) < ExpireBatch {
			break
		}
	}
	for ids := range slices.Chunk(n.expired, localBlock) {
		n.begin()
		for _, id := range ids {
			n.takeEvent(&localEvent{kind: EventDelete, id: id, expired: true})
		}
		n.finish()
	}
}

// step feeds an event to the session and does what comes of it.
func (n *Node) step(ev Event) {
	n.begin()
	n.take(&ev)
	n.finish()
}

// begin begins a step of the session, for as many events as there are at once.
func (n *Node) begin() {
	n.stepped = time.Now()
	n.session.begin(n.stepped)
}

// take feeds an event to the session. Its frames are sent with those of others.
func (n *Node) take(ev *Event) {
	n.session.take(ev)
	if n.converger != nil {
		n.converger.Hold(!n.session.Synced() || n.session.Answering())
	}
	if len(n.session.frames) >= sendFrames {
		n.send(n.session.drain())
	}
}

// finish ends a step and does what comes of it.
func (n *Node) finish() {
	out := n.session.end()
	n.send(out.Frames)
	n.demote(out.Demotion, out.DemotionReason)
	if n.cfg.Release != nil {
		for _, id := range out.Release {
			n.cfg.Release(id)
		}
	}
	n.sessionAt = out.Deadline
	n.arm()
}

// behindPause is the time between two bursts of a bulk update while a peer is
// behind. Other timers are late by no more than that.
const behindPause = 5 * time.Millisecond

// arm sets the timer to the session's deadline, or to a later time if there is
// more to send than a peer can take in.
func (n *Node) arm() {
	at := n.sessionAt
	if n.converger != nil && !at.IsZero() && n.converger.Behind(time.Now()) {
		if soon := n.stepped.Add(behindPause); at.Before(soon) {
			at = soon
		}
	}
	n.sessionTimer.set(at)
}

// send sends frames to all peers. Those that cannot be sent are counted and gone:
// a later update, or the converger, makes up for them.
func (n *Node) send(frames [][]byte) {
	if len(frames) == 0 {
		return
	}
	if n.converger != nil {
		for _, f := range frames {
			n.converger.Sent(n.cfg.Session.Dialect, f)
		}
	}
	for _, dst := range n.dst {
		for left := frames; len(left) > 0; {
			sent, err := n.cfg.Transport.WritePackets(dst, left)
			if dst.Is6() {
				n.out6 += uint64(sent)
			}
			if err == nil {
				break
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			n.sendFailed(dst, err)
			left = left[min(sent+1, len(left)):] // that one is lost
		}
	}
}

// sendLogPause is the least time between two logs of failed sending.
const sendLogPause = 10 * time.Second

// sendFailed counts a failure to send.
func (n *Node) sendFailed(dst netip.Addr, err error) {
	n.outErrors++
	if now := time.Now(); now.Sub(n.sendLogged) > sendLogPause {
		n.sendLogged = now
		n.log.Warn("pfsync: cannot send", "dst", dst, "err", err, "so far", n.outErrors)
	}
}

// demote makes d the contribution to the demotion counter.
func (n *Node) demote(d int, cause string) {
	if d != n.demotion {
		n.log.Info("pfsync: demotion", "by", d, "reason", cause)
		n.demotion = d
	}
	if n.cfg.Demote != nil {
		n.cfg.Demote.Set(demoteCause, d)
	}
}

// demoteCause is the name of the contribution to a demotion counter.
const demoteCause = "pfsync bulk"

// A deadline is a timer that is set by the time. Setting it to what it is costs nothing.
type deadline struct {
	*time.Timer
	at time.Time // zero: not set
}

func newDeadline() deadline {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return deadline{Timer: t}
}

func (d *deadline) set(at time.Time) {
	switch {
	case at.Equal(d.at):
		return
	case at.IsZero():
		d.Stop()
	default:
		d.Reset(time.Until(at))
	}
	d.at = at
}

// came takes note that the time has come, and was received from C.
func (d *deadline) came() { d.at = time.Time{} }
