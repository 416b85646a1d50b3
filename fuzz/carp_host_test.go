package fuzz

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// FuzzVirtualHost plays a program of packets and events on a virtual host. Some
// of the packets are honest, some were altered, some are noise.
func FuzzVirtualHost(f *testing.F) {
	f.Fuzz(func(t *testing.T, dialect, replay, options uint8, program []byte) {
		r := newHostRun(t, dialect, replay, options)
		for in := tape(program); !in.done(); {
			op := in.u8()
			r.now = r.now.Add(time.Duration(in.u8()) * 17 * time.Millisecond)
			switch op % 8 {
			case 0:
				r.act(r.v.Step(r.now, event(&in, carp.EventKind(in.u8())%carp.EventConfig, r.cfg.Config)))
			case 1:
				r.act(r.v.Step(r.now, carp.Event{Kind: carp.EventTimer}))
			case 2: // as it comes
				r.receive(r.packet(&in, in.bytes(int(in.u8()))))
			case 3: // a peer's
				r.receive(r.packet(&in, r.advert(&in)))
			case 4: // a peer's, of which one octet was changed and the checksum mended
				b := r.advert(&in)
				b[in.u8()%carp.HeaderLen] ^= in.u8()
				mend(b)
				r.receive(r.packet(&in, b))
			case 5: // a peer's, recorded before
				r.receive(r.packet(&in, bytes.Clone(r.heard)))
			case 6: // our own
				r.receive(r.packet(&in, bytes.Clone(r.sent)))
			case 7: // a peer's, cut off or with more behind it
				b := append(r.advert(&in), in.bytes(4)...)
				r.receive(r.packet(&in, b[:min(int(in.u8()), len(b))]))
			}
		}
	})
}

// A hostRun is a virtual host and what was heard and sent.
type hostRun struct {
	t           *testing.T
	cfg         carp.HostConfig
	key         carp.KeyConfig
	v           *carp.VirtualHost
	now         time.Time
	heard, sent []byte
	taken       map[uint64]bool // counters that were accepted
}

func newHostRun(t *testing.T, dialect, replay, options uint8) *hostRun {
	c := carp.HostConfig{
		Config:  machineConfig(dialect, 1, 100, options&3),
		Secret:  carp.Secret{'k', 'e', 'y'},
		Replay:  carp.ReplayPolicy(replay % 3),
		AnyTTL:  options&4 != 0,
		AnyType: options&8 != 0,
		Counter: 1000,
		Source:  []netip.Addr{netip.MustParseAddr("10.0.0.2")},
	}
	c.Addresses = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}
	if options&16 != 0 && c.Dialect != carp.UCarp {
		c.Addresses = append(c.Addresses, netip.MustParsePrefix("fe80::1/64"), netip.MustParsePrefix("2001:db8::1/64"))
	}
	if options&32 != 0 {
		c.Peers = []netip.Addr{netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("10.0.0.4")}
	}
	if options&64 != 0 {
		c.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
	}
	v, err := carp.NewVirtualHost(c)
	if err != nil {
		t.Fatal(err)
	}
	key := carp.KeyConfig{Secret: c.Secret, VHID: c.VHID}
	for _, p := range c.Addresses {
		key.Addrs = append(key.Addrs, p.Addr())
	}
	return &hostRun{t: t, cfg: c, key: key, v: v, now: start, taken: make(map[uint64]bool)}
}

// advert is what an honest peer could have sent. Its counter is near the time.
func (r *hostRun) advert(in *tape) []byte {
	h := carp.Header{
		VHID: r.cfg.VHID, AdvBase: in.u8(), AdvSkew: in.u8(), Demote: in.u8(),
		Counter: uint64(r.now.UnixNano() + int64(in.i16())*int64(time.Millisecond)),
	}
	h.Digest = reference(&r.key, h.Counter, r.cfg.Dialect != carp.OpenBSD || in.bit())
	b, _ := h.MarshalBinary()
	return b
}

// packet puts data into a packet. Most programs should get one from a neighbour.
func (r *hostRun) packet(in *tape, data []byte) *carp.Packet {
	p := &carp.Packet{Data: data, Src: netip.MustParseAddr("10.0.0.3"), Dst: carp.Group4, TTL: 255 - in.u8()}
	how := in.u8()
	if how&1 != 0 {
		p.Src = in.addr()
	}
	switch how >> 1 & 7 {
	case 1:
		p.Dst = carp.Group6
	case 2:
		p.Dst = netip.MustParseAddr("10.0.0.2")
	case 3:
		p.Dst = in.addr()
	}
	return p
}

// receive holds the fate of a packet against what is always true.
func (r *hostRun) receive(p *carp.Packet) {
	before, data := *r.v.Machine(), bytes.Clone(p.Data)
	out, err := r.v.Receive(r.now, p)
	if !bytes.Equal(p.Data, data) {
		r.t.Fatalf("the packet was changed from %x to %x", data, p.Data)
	}
	if err != nil {
		if *r.v.Machine() != before || out != (carp.Output{}) {
			r.t.Fatalf("%+v: refused (%v), and yet %+v", p, err, out)
		}
		if !slices.Contains(refusals, err) {
			r.t.Fatalf("%+v: %v is not an error of Stats", p, err)
		}
		return
	}
	h, why := r.judge(p)
	if why != "" {
		r.t.Fatalf("%+v: accepted: %s", p, why)
	}
	r.taken[h.Counter] = true
	r.heard = data
	r.act(out)
}

// refusals are the errors that Receive may end with.
var refusals = []error{
	carp.ErrTTL, carp.ErrShort, carp.ErrChecksum, carp.ErrVersion, carp.ErrType, carp.ErrVHID,
	carp.ErrPeer, carp.ErrAuth, carp.ErrLoop, carp.ErrReplay,
}

// judge says why p should not have been accepted, if it should not.
func (r *hostRun) judge(p *carp.Packet) (h carp.Header, why string) {
	if err := headerError(p.Data); err != nil {
		return h, err.Error()
	}
	if err := h.UnmarshalBinary(p.Data); err != nil {
		return h, err.Error()
	}
	all, some := reference(&r.key, h.Counter, true), reference(&r.key, h.Counter, false)
	age := time.Duration(uint64(r.now.UnixNano()) - h.Counter)
	strict := r.cfg.Replay == carp.ReplayStrict
	routed := r.cfg.AnyTTL || r.cfg.Dialect == carp.FreeBSD && r.cfg.Peers != nil
	switch {
	case h.Digest != all && (h.Digest != some || r.cfg.Dialect != carp.OpenBSD):
		return h, "the digest is wrong"
	case h.VHID != r.cfg.VHID:
		return h, "another vhid"
	case p.TTL != 255 && !routed:
		return h, "it was routed"
	case p.Data[0]%16 != 1 && !r.cfg.AnyType:
		return h, "another type"
	case r.cfg.Allow != nil && !r.cfg.Allow[0].Contains(p.Src):
		return h, "its source is not allowed"
	case r.cfg.Replay != carp.ReplayOff && bytes.Equal(p.Data, r.sent):
		return h, "it is our own"
	case strict && r.taken[h.Counter]:
		return h, "it is a replay"
	case strict && age.Abs() > carp.DefaultReplayWindow:
		return h, "it is of another time"
	}
	return h, ""
}

// act sends what the machine wants sent and looks at it.
func (r *hostRun) act(out carp.Output) {
	if !out.Send {
		return
	}
	for _, p := range r.v.AppendPackets(nil, r.now, out.Advert) {
		h := out.Advert
		if err := h.UnmarshalBinary(p.Data); err != nil {
			r.t.Fatalf("sent %x: %v", p.Data, err)
		}
		want := out.Advert
		want.Counter, want.Digest = h.Counter, reference(&r.key, h.Counter, r.cfg.Dialect != carp.OpenBSD)
		if h != want || h.Counter == 0 || p.TTL != 255 || !p.Dst.IsValid() {
			r.t.Fatalf("sent %+v to %v, want %+v", h, p.Dst, want)
		}
		r.taken[h.Counter] = true
		r.sent = bytes.Clone(p.Data)
	}
}
