//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// lookInterval is the time between two questions who has an address.
	lookInterval = 20 * time.Millisecond

	// blink is the time without an answer after which an owner was none.
	blink = 5 * lookInterval
)

// An eye watches who has the shared addresses: it asks (ARP) all the time, and sees
// on the switch which firewall answers. It asks as one that has no address yet, and
// from a host of its own: nobody learns anything from it.
type eye struct {
	asking []*packet.Conn
	taps   []*packet.Conn
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	claims map[claim][]span // by firewall and segment, in order
}

// A claim is a firewall that says it has the shared address of a segment.
type claim struct{ node, segment string }

// openEye has it watch.
func openEye(t *topology) (*eye, error) {
	e := &eye{claims: make(map[claim][]span)}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	for segment, vip := range map[string]string{lan: lanVIP, wan: wanVIP} {
		addr := netip.MustParseAddr(vip)
		if err := e.ask(ctx, t, segment, addr); err != nil {
			return nil, errors.Join(err, e.close())
		}
		for _, n := range []*node{t.fw1, t.fw2} {
			arp := func(frame []byte) bool { return claimed(frame, addr) }
			if err := e.tap(ctx, t, n, segment, claim{n.Name, segment}, arpIn, arp); err != nil {
				return nil, errors.Join(err, e.close())
			}
		}
	}
	if t.shape == twoAddresses {
		return e, nil
	}
	mac, err := net.ParseMAC(sharedMAC)
	if err != nil {
		return nil, errors.Join(err, e.close())
	}
	speaks := func(frame []byte) bool { return len(frame) >= 12 && bytes.Equal(frame[6:12], mac) }
	for _, n := range []*node{t.fw1, t.fw2} {
		if err := e.tap(ctx, t, n, wan, claim{n.Name, wanFrames}, anyIn, speaks); err != nil {
			return nil, errors.Join(err, e.close())
		}
	}
	return e, nil
}

// wanFrames is the claim of whoever sends with the hardware address that both firewalls
// have on a WAN with one address: the other one must be silent.
const wanFrames = "wan frames"

// ask asks for an address until ctx is done.
func (e *eye) ask(ctx context.Context, t *topology, segment string, addr netip.Addr) error {
	var conn *packet.Conn
	var ifi *net.Interface
	var err error
	if e := t.eye.Do(func() {
		if ifi, err = net.InterfaceByName(segment); err == nil {
			conn, err = packet.Listen(ifi, packet.Raw, 0, nil)
		}
	}); e != nil || err != nil {
		return errors.Join(e, err)
	}
	e.asking = append(e.asking, conn)
	frame := question(ifi.HardwareAddr, addr)
	e.wg.Go(func() {
		tick := time.NewTicker(lookInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}) // an error is an answer that does not come
			}
		}
	})
	return nil
}

// question is an ARP request for an address from one that has none (RFC 5227, 1.1).
func question(mac net.HardwareAddr, addr netip.Addr) []byte {
	f := slices.Concat([]byte{255, 255, 255, 255, 255, 255}, mac)
	f = binary.BigEndian.AppendUint16(f, unix.ETH_P_ARP)
	f = append(f, 0, 1, 8, 0, 6, 4, 0, 1)
	f = append(f, mac...)
	f = append(f, 0, 0, 0, 0)
	f = append(f, make([]byte, 6)...)
	f = append(f, addr.AsSlice()...)
	return append(f, make([]byte, 60-len(f))...)
}

// anyIn accepts what comes in.
var anyIn = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 1},
	bpf.RetConstant{Val: 64},
	bpf.RetConstant{Val: 0},
}

// arpIn accepts ARP that comes in. A socket that is bound to ARP alone would see
// none: the bridge takes frames before that.
var arpIn = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 3},
	bpf.LoadAbsolute{Off: 12, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_ARP, SkipTrue: 1},
	bpf.RetConstant{Val: 64},
	bpf.RetConstant{Val: 0},
}

// claimed reports whether a frame says that its sender has an address: ARP.
func claimed(frame []byte, addr netip.Addr) bool {
	return len(frame) >= 42 && binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_ARP && netip.AddrFrom4([4]byte(frame[28:32])) == addr
}

// tap listens on the port of a firewall, with a filter, for frames that make the claim.
func (e *eye) tap(ctx context.Context, t *topology, n *node, segment string, c claim, program []bpf.Instruction, makes func(frame []byte) bool) error {
	filter, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	sw, err := t.Switch()
	if err != nil {
		return err
	}
	var conn *packet.Conn
	if e := sw.Do(func() {
		var ifi *net.Interface
		if ifi, err = net.InterfaceByName(t.Port(segment, n.Name)); err == nil {
			conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: filter})
		}
	}); e != nil || err != nil {
		return errors.Join(e, err)
	}
	e.taps = append(e.taps, conn)
	e.wg.Go(func() {
		buf := make([]byte, 64)
		for {
			k, _, err := conn.ReadFrom(buf)
			if ctx.Err() != nil {
				return
			}
			if err == nil && makes(buf[:k]) {
				e.saw(c, time.Now())
			}
		}
	})
	return nil
}

// saw notes that a claim was made.
func (e *eye) saw(c claim, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.claims[c]
	if n := len(all); n > 0 && at.Sub(all[n-1].to) < blink {
		all[n-1].to = at
		return
	}
	e.claims[c] = append(all, span{at, at})
}

// between is when a claim was made, from one time to another.
func (e *eye) between(c claim, from, to time.Time) []span {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []span
	for _, s := range e.claims[c] {
		if s.to.After(from) && s.from.Before(to) {
			s.from, s.to = later(s.from, from), earlier(s.to, to)
			out = append(out, s)
		}
	}
	return out
}

// owns reports whether a claim is made at present.
func (e *eye) owns(c claim) bool {
	return len(e.between(c, time.Now().Add(-blink), time.Now().Add(blink))) > 0
}

// overlap is how long two claims were made at once. Two that follow each other within
// an interval do not overlap: it cannot be seen.
func overlap(a, b []span) time.Duration {
	var d time.Duration
	for _, s := range a {
		for _, t := range b {
			if both := earlier(s.to, t.to).Sub(later(s.from, t.from)); both > 0 {
				d += both
			}
		}
	}
	return d
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// close ends the eye.
func (e *eye) close() error {
	e.stop()
	var errs []error
	for _, c := range append(e.taps, e.asking...) {
		errs = append(errs, c.Close())
	}
	e.wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("eye: %w", err)
	}
	return nil
}
