package pfsync_test

import (
	"cmp"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/pfsync"
)

// Of some recordings there is a capture of what the node has forwarded, too.

// A forwarded is a packet that the node has passed on. Those of ICMP have no ports.
type forwarded struct {
	at       time.Time
	proto    uint8
	src, dst netip.AddrPort
}

// readTraffic reads the packets of connections from a capture beside a recording.
func readTraffic(t *testing.T, recording, name string) (out []forwarded) {
	t.Helper()
	readEthernet(t, captureFile(t, recording, name), func(at time.Time, _ string, frame []byte) {
		ip, payload, err := inet.ParseIP(frame[14:])
		if err != nil || ip.Dst.IsMulticast() || ip.Src.IsLinkLocalUnicast() || len(payload) < 4 {
			return
		}
		var ports [2]uint16
		if ip.Protocol == 6 || ip.Protocol == 17 {
			ports = [2]uint16{binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])}
		}
		out = append(out, forwarded{at, ip.Protocol, netip.AddrPortFrom(ip.Src, ports[0]), netip.AddrPortFrom(ip.Dst, ports[1])})
	})
	return out
}

// of reports whether p is of a state without translation.
func (p *forwarded) of(st *pfsync.State) bool {
	end := func(i int) netip.AddrPort {
		a := netip.AddrFrom16(st.Wire.Addr[i])
		if st.AF == pfsync.AFInet {
			a = netip.AddrFrom4([4]byte(st.Wire.Addr[i][:4]))
		}
		port := st.Wire.Port[i]
		if p.src.Port() == 0 {
			port = 0
		}
		return netip.AddrPortFrom(a, port)
	}
	a, b := end(0), end(1)
	return st.Proto == p.proto && (a == p.src && b == p.dst || a == p.dst && b == p.src)
}

// drive adds what the traffic has done to the states of the node. What is in them
// then is what the node says of them next.
func (p *part) drive() {
	made := make(map[pfsync.StateID]pfsync.State)
	says := make(map[pfsync.StateID][]saying)
	p.eachOwn(func(fr *wireFrame, msgs []message, _ bool) {
		for _, m := range msgs {
			switch m.action {
			case pfsync.ActIns:
				st := m.state(p.t)
				made[m.id] = st
				says[m.id] = append(says[m.id], saying{fr.at, pfsync.UpdC{StateID: m.id, Src: st.Src, Dst: st.Dst, Timeout: st.Timeout}})
			case pfsync.ActUpdC:
				says[m.id] = append(says[m.id], saying{fr.at, m.updC()})
			}
		}
	})
	for _, id := range slices.SortedFunc(maps.Keys(made), func(a, b pfsync.StateID) int { return cmp.Compare(a.ID, b.ID) }) {
		st, told := made[id], false
		for _, f := range p.traffic {
			switch next := slices.IndexFunc(says[id], func(s saying) bool { return s.at.After(f.at) }); {
			case !f.of(&st):
			case !told:
				told = true
				p.add(f.at, func(pl *player) { pl.insert(&st, true) })
			case next < 0:
				p.add(f.at, func(pl *player) { pl.update(id, nil, 1) })
			default:
				p.add(f.at, func(pl *player) { pl.update(id, &says[id][next].is, 1) })
			}
		}
	}
}

// A saying is what a node said of a state.
type saying struct {
	at time.Time
	is pfsync.UpdC
}

// TestReplayTraffic plays the forwarding node of recordings in which its traffic was
// captured, so that nothing of when its states were made and changed is inferred.
func TestReplayTraffic(t *testing.T) {
	for _, name := range []string{"pfsync-tcp", "pfsync-udp-icmp"} {
		t.Run(name, func(t *testing.T) {
			file := "testdata/replay/openbsd/" + name + ".json.gz"
			r := readRecording(t, file)
			traffic := readTraffic(t, file, name+"-wan.pcap")
			if len(traffic) < 10 {
				t.Fatalf("only %d packets", len(traffic))
			}
			newPart(t, r, r.node("fw1"), traffic).play(t, true).hold(verdict{})
		})
	}
}

// TestReplayDefer compares when first packets that were held back go. The recording
// has a peer that acknowledges, and then none.
func TestReplayDefer(t *testing.T) {
	file := "testdata/replay/openbsd/pfsync-defer.json.gz"
	r := readRecording(t, file)
	pl := newPart(t, r, r.node("fw1"), nil).play(t, true)
	const emulated = 8 * time.Millisecond // jitter of the recording, and ticks of 10 ms
	held := 0
	for _, rel := range pl.released {
		st := pl.part.whole[rel.id].st
		if st.Direction != pfsync.Out {
			continue
		}
		held++
		var first time.Time
		for _, p := range readTraffic(t, file, "pfsync-defer-wan.pcap") {
			if p.of(&st) && first.IsZero() {
				first = p.at
			}
		}
		if d := rel.at.Sub(first); first.IsZero() || d.Abs() > emulated {
			t.Errorf("%v: ours lets its first packet go %v after the kernel did, at %s", rel.id, d, pl.since(first))
		}
	}
	if held != 6 {
		t.Errorf("%d packets were held back, want 6", held)
	}
}

// TestReplayDemotion compares the demotion with what the adverts of CARP show: a
// node that is demoted does not take over from a peer with a longer interval, and
// does so at the peer's next advert when it is not demoted any more.
func TestReplayDemotion(t *testing.T) {
	file := "testdata/replay/openbsd/pfsync-startup-alone.json.gz"
	r := readRecording(t, file)
	pl := newPart(t, r, r.node("fw1"), nil).play(t, true)
	type advert struct {
		at  time.Time
		src netip.Addr
	}
	var adverts []advert
	readEthernet(t, captureFile(t, file, "pfsync-startup-alone-lan.pcap"), func(at time.Time, _ string, frame []byte) {
		ip, payload, err := inet.ParseIP(frame[14:])
		if err == nil && ip.Protocol == 112 && ip.Src.Is4() && len(payload) >= 36 {
			adverts = append(adverts, advert{at, ip.Src})
		}
	})
	self, looks := netip.MustParseAddr("10.1.0.11"), 0
	for i, a := range adverts[:len(adverts)-1] {
		if a.src == self || a.at.Before(pl.part.begin.Add(tolerance)) {
			continue
		}
		next := adverts[i+1]
		demoted := !(next.src == self && next.at.Sub(a.at) < 50*time.Millisecond)
		if ours := pl.demotionAt(a.at); demoted != (ours > 0) {
			t.Errorf("%s: ours is demoted by %d, the kernel takes over: %v", pl.since(a.at), ours, !demoted)
		}
		looks++
		if !demoted {
			break // it is the master from now on
		}
	}
	if looks != 18 {
		t.Errorf("looked %d times, want 18", looks)
	}
}

// demotionAt is the demotion at a time.
func (pl *player) demotionAt(at time.Time) (total int) {
	for _, c := range pl.demotion {
		if !c.at.After(at) {
			total = c.total
		}
	}
	return total
}
