package carp_test

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

// run lets everything happen at its time, until the end of the recording or the
// death of the node.
func (s *standIn) run() {
	t := s.w.t
	slices.SortStableFunc(s.events, func(a, b event) int { return a.at.Compare(b.at) })
	began := time.Now()
	for i, seg := range s.segs {
		s.links[i] = make(chan carp.Link)
		s.ports[i] = seg.Attach("us")
		node, err := carp.NewNode(carp.NodeConfig{Interface: "vio0", Transport: s.ports[i], Links: s.links[i]})
		if err != nil {
			t.Fatal(err)
		}
		s.nodes[i] = node
		seg.Tap(func(r carptest.Record) {
			if r.From == "us" && r.Packet.Dst.Is4() {
				s.ours[i] = append(s.ours[i], capturedPacket{s.start.Add(r.At.Sub(began)), r.Packet})
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- node.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	for _, e := range s.events {
		if !e.at.After(s.end) {
			time.Sleep(time.Until(began.Add(e.at.Sub(s.start))))
			e.do()
			synctest.Wait()
		}
	}
	time.Sleep(time.Until(began.Add(s.end.Sub(s.start))))
	synctest.Wait()
	for i := range s.ours { // what comes after the end is only our own bow-out
		s.ours[i] = slices.Clone(s.ours[i])
	}
}

// device is LAN, 0, WAN, 1, or another one, from an interface's name.
func device(name string) int { return int(name[len(name)-1] - '0') }

// command does what an operator's command did, in the words of either capture.
func (s *standIn) command(f []string) {
	switch {
	case len(f) < 2:
	case f[0] == "sysctl":
		s.sysctl(strings.Split(strings.Join(f[1:], "="), "="))
	case f[0] == "ifconfig" && f[1] == "-g" && len(f) > 4:
		n, err := strconv.Atoi(f[len(f)-1])
		if f[3] == "-carpdemote" {
			n = -n
		}
		s.check(err)
		s.check(s.hosts.Adjust(f[2], n))
	case f[0] == "ifconfig" && strings.HasPrefix(f[1], "vio"), f[0] == "if":
		if d := device(f[1]); d < len(s.links) { // the third is for pfsync
			s.link(d, f[len(f)-1])
		}
	case f[0] == "carp", f[0] == "ifconfig" && slices.Contains(f, "pass"):
		s.configure(f)
	case f[0] == "addr" && len(f) == 5:
		vhid, err := strconv.Atoi(f[4])
		s.check(err)
		s.address(uint8(vhid), f[2])
	case f[0] == "deladdr":
		s.withdraw(device(f[1]), netip.MustParseAddr(f[2]))
	case f[0] == "ifconfig" && len(f) == 4 && f[2] == "group":
		s.check(s.members[f[1]].Join(f[3]))
	case f[0] == "ifconfig" && len(f) > 3 && strings.HasPrefix(f[2], "inet") && f[3] != "-autoconf":
		switch {
		case f[3] == "alias":
			s.address(s.vhids[f[1]], f[4])
		case f[len(f)-1] == "delete":
			s.withdraw(s.dev[s.vhids[f[1]]], netip.MustParseAddr(f[3]))
		default:
			s.address(s.vhids[f[1]], f[3])
		}
	case f[0] == "ifconfig" && f[len(f)-1] == "up":
		s.check(s.node(s.vhids[f[1]]).Up(s.vhids[f[1]]))
	case f[0] == "ifconfig" && f[len(f)-1] == "down":
		s.check(s.node(s.vhids[f[1]]).Down(s.vhids[f[1]]))
	}
}

// link sets an interface up or down. The emulator's vio(4) keeps what arrives
// while it is down and delivers it when it is up again: that made the kernel of
// carp-linkdown preempt within milliseconds.
func (s *standIn) link(dev int, to string) {
	switch to {
	case "up":
		s.links[dev] <- carp.LinkUp
		synctest.Wait()
		s.ports[dev].Thaw()
	case "down":
		s.links[dev] <- carp.LinkDown
		if s.place.dialect == carp.OpenBSD {
			s.ports[dev].Freeze()
		}
	}
}

func (s *standIn) check(err error) {
	if err != nil {
		s.w.t.Errorf("a command of the recording: %v", err)
	}
}

func (s *standIn) node(vhid uint8) *carp.Node { return s.nodes[s.dev[vhid]] }

// sysctl sets a variable; words are names, each followed by its value.
func (s *standIn) sysctl(words []string) {
	for i := 0; i+1 < len(words); i += 2 {
		switch words[i] {
		case "net.inet.carp.preempt":
			s.preempt = words[i+1] == "1"
		case "net.inet.carp.allow":
			for _, n := range s.nodes {
				s.check(n.SetAllow(words[i+1] == "1"))
			}
		case "net.inet.carp.demotion": // what is written is added
			n, err := strconv.Atoi(words[i+1])
			s.check(err)
			s.shared.Adjust(n)
		}
	}
}

// configure makes a virtual host, still without an address, or forces its state.
func (s *standIn) configure(f []string) {
	option := make(map[string]string)
	for i := 2; i+1 < len(f); i += 2 {
		option[f[i]] = f[i+1]
	}
	number := func(name string) int {
		n, err := strconv.Atoi(option[name])
		s.check(err)
		return n
	}
	vhid := s.vhids[f[1]]
	if option["vhid"] != "" {
		vhid = uint8(number("vhid"))
	}
	secret, _ := carp.Passphrase(option["pass"])
	switch {
	case option["state"] != "":
		s.check(s.node(vhid).Force(vhid, carp.State(number("state"))))
		return
	case option["advbase"] == "":
		s.check(s.node(vhid).Update(vhid, func(g *carp.GroupConfig) { g.Secret = secret }))
		return
	}
	s.vhids[f[1]] = vhid
	s.dev[vhid] = device(f[1])
	if dev := option["carpdev"]; dev != "" {
		s.dev[vhid] = device(dev)
	}
	g := carp.GroupConfig{Demote: &s.shared, Overlap: -1}
	g.Config = carp.Config{
		VHID: vhid, AdvBase: number("advbase"), AdvSkew: uint8(number("advskew")),
		Dialect: s.place.dialect, Preempt: s.preempt, Linger: -1,
	}
	g.Secret, g.AnyType = secret, true
	if peer := option["carppeer"]; peer != "" {
		g.Peers = []netip.Addr{netip.MustParseAddr(peer)}
	}
	if s.place.dialect == carp.OpenBSD {
		m, err := s.hosts.Join(f[1], "carp")
		s.check(err)
		g.Demote, s.members[f[1]] = m, m
	}
	s.check(s.node(vhid).Add(g))
}

// address adds an address.
func (s *standIn) address(vhid uint8, prefix string) {
	s.check(s.node(vhid).Update(vhid, func(g *carp.GroupConfig) {
		g.Addresses = append(g.Addresses, netip.MustParsePrefix(prefix))
	}))
}

// withdraw removes an address from the virtual host that has it. FreeBSD forgets
// a virtual host with its last one, which comes to the same.
func (s *standIn) withdraw(dev int, addr netip.Addr) {
	for _, g := range s.nodes[dev].Status().Groups {
		s.check(s.nodes[dev].Update(g.VHID, func(c *carp.GroupConfig) {
			c.Addresses = slices.DeleteFunc(c.Addresses, func(p netip.Prefix) bool { return p.Addr() == addr })
		}))
	}
}

// A reign is a time of adverts that are all alike.
type reign struct {
	first, last time.Time
	header      carp.Header // interval and demotion only
}

func reigns(packets []capturedPacket) []reign {
	var out []reign
	for _, p := range packets {
		var h carp.Header
		if h.UnmarshalBinary(p.packet.Data) != nil {
			continue
		}
		h.Counter, h.Digest = 0, [20]byte{}
		if n := len(out); n > 0 && out[n-1].header == h && p.at.Sub(out[n-1].last) < h.Interval()*17/10 {
			out[n-1].last = p.at
			continue
		}
		out = append(out, reign{p.at, p.at, h})
	}
	return out
}

// compareReigns compares when a node was master, and what it said. The last
// advert of a reign may be an interval early or late.
func compareReigns(t *testing.T, where string, kernel, ours []capturedPacket, late time.Duration) {
	t.Helper()
	k, o := reigns(kernel), reigns(ours)
	same := len(k) == len(o)
	for i := 0; same && i < len(k); i++ {
		same = k[i].header == o[i].header &&
			k[i].first.Sub(o[i].first).Abs() <= late &&
			k[i].last.Sub(o[i].last).Abs() <= late+min(k[i].header.Interval(), 2*time.Second)
	}
	if same {
		return
	}
	for name, list := range map[string][]reign{"the kernel": k, "ours": o} {
		var b strings.Builder
		for _, r := range list {
			b.WriteString("\n    " + r.first.UTC().Format("04:05.000") + " to " + r.last.UTC().Format("04:05.000") +
				" advert " + strconv.Itoa(int(r.header.AdvBase)) + "/" + strconv.Itoa(int(r.header.AdvSkew)) +
				" demote " + strconv.Itoa(int(r.header.Demote)))
		}
		t.Errorf("%s: %s:%s", where, name, b.String())
	}
}
