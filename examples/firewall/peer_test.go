package main

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/ifconfig"
	"github.com/gocarp/gocarp/internal/peer"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// exampleNode is a host with two carp interfaces in a state, for an hour.
func exampleNode(name, state string) nodeStatus {
	i := func(name string, vhid uint8, addr string) interfaceStatus {
		return interfaceStatus{
			Name: name, VHID: vhid, CarpDev: "em0", State: state, Since: noon.Add(-time.Hour), Reason: "link up",
			AdvBase: 1, Addresses: []netip.Prefix{netip.MustParsePrefix(addr)}, Groups: []string{"carp"},
		}
	}
	return nodeStatus{
		Name: name, Local: true, Role: state, Maintenance: "off", Preempt: true,
		Interfaces: []interfaceStatus{i("carp1", 1, "172.16.0.100/24"), i("carp2", 2, "192.0.2.100/24")},
		Demotions:  []demotionStatus{},
		Pfsync:     &pfsyncStatus{Up: true, SyncDev: "em1", Synced: true, States: 1000},
	}
}

func TestDifferences(t *testing.T) {
	answer := func(name, state string) peerAnswer {
		a := peerAnswer{nodeStatus: exampleNode(name, state), Passphrases: map[string]string{"carp1": "a", "carp2": "b"}}
		a.WAN = &wanStatus{Interface: "em2", Follow: "carp1", LLAddr: "02:00:5e:00:53:01"}
		return a
	}
	ours := answer("fw1", "MASTER")
	for name, c := range map[string]struct {
		change func(*peerAnswer)
		want   []string
	}{
		"nothing": {func(a *peerAnswer) { a.Interfaces[0].AdvSkew = 100 }, nil},
		"passphrase": {func(a *peerAnswer) { a.Passphrases = map[string]string{"carp1": "x", "carp2": "b"} },
			[]string{"carp1: the passphrase differs at fw2"}},
		"vhid":    {func(a *peerAnswer) { a.Interfaces[1].VHID = 3 }, []string{"carp2: the vhid is 2 here, 3 at fw2"}},
		"advbase": {func(a *peerAnswer) { a.Interfaces[1].AdvBase = 5 }, []string{"carp2: advbase is 1 here, 5 at fw2"}},
		"addresses": {func(a *peerAnswer) {
			a.Interfaces[0].Addresses = append(a.Interfaces[0].Addresses, netip.MustParsePrefix("10.0.0.1/8"))
		}, []string{"carp1: the addresses are [172.16.0.100/24] here, [10.0.0.1/8 172.16.0.100/24] at fw2"}},
		"other interfaces": {func(a *peerAnswer) { a.Interfaces[1].Name = "carp3" },
			[]string{"carp2: fw2 has no such interface", "carp3: only fw2 has it"}},
		"preempt":       {func(a *peerAnswer) { a.Preempt = false }, []string{"net.inet.carp.preempt differs at fw2"}},
		"pfsync":        {func(a *peerAnswer) { a.Pfsync = nil }, []string{"only one of the hosts has pfsync0"}},
		"no wan":        {func(a *peerAnswer) { a.WAN = nil }, []string{"wan: fw2 has none"}},
		"wan interface": {func(a *peerAnswer) { a.WAN.Interface = "em7" }, nil},
		"wan follow":    {func(a *peerAnswer) { a.WAN.Follow = "carp2" }, []string{"wan: it follows carp1 here, carp2 at fw2"}},
		"wan lladdr": {func(a *peerAnswer) { a.WAN.LLAddr = "02:00:5e:00:53:02" },
			[]string{"wan: lladdr is 02:00:5e:00:53:01 here, 02:00:5e:00:53:02 at fw2"}},
		"wan lladdr not known": {func(a *peerAnswer) { a.WAN.LLAddr = "" }, nil},
		"wan address": {func(a *peerAnswer) { a.WAN.Address = netip.MustParsePrefix("203.0.113.2/24") },
			[]string{"wan: the address is a client's here, 203.0.113.2/24 at fw2"}},
	} {
		theirs := answer("fw2", "BACKUP")
		c.change(&theirs)
		if diff := cmp.Diff(c.want, differences(ours, theirs, "fw2")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	noWAN := ours
	noWAN.WAN = nil
	if got := differences(noWAN, answer("fw2", "BACKUP"), "fw2"); !cmp.Equal(got, []string{"wan: only fw2 has it"}) {
		t.Errorf("no wan here: %q", got)
	}
	static := func(mac string) *wanStatus {
		return &wanStatus{Follow: "carp1", LLAddr: mac, Address: netip.MustParsePrefix("203.0.113.2/24")}
	}
	if got := wanDifferences(static("02:00:00:00:00:01"), static("02:00:00:00:00:02"), "fw2"); got != nil {
		t.Errorf("one address on two interfaces: %q", got)
	}
}

func TestPassDigest(t *testing.T) {
	secret := []byte("0123456789abcdef")
	a := passDigest(secret, "lanpasswd")
	if a == passDigest(secret, "lanpasswD") || a == passDigest([]byte("0123456789abcdeF"), "lanpasswd") {
		t.Error("different ones look the same")
	}
	long := strings.Repeat("x", carp.MaxPassphrase)
	if passDigest(secret, "lanpasswd") != a {
		t.Error("the same one looks different")
	}
	if got, want := len(a), 64; got != want {
		t.Errorf("%d digits, want %d", got, want)
	}
	if passDigest(secret, ifconfig.Password(long+"y")) != passDigest(secret, ifconfig.Password(long+"z")) {
		t.Error("what carp does not use counts")
	}
}

// TestConflicts: two masters are one only if it lasts.
func TestConflicts(t *testing.T) {
	ours, theirs := exampleNode("fw1", "MASTER"), exampleNode("fw2", "MASTER")
	theirs.Interfaces[1].State = "BACKUP"
	if diff := cmp.Diff([]string{"carp1: BOTH HOSTS ARE MASTER of vhid 1"}, conflicts(ours, theirs, noon)); diff != "" {
		t.Error(diff)
	}
	theirs.Interfaces[0].Since = noon.Add(-overlap / 2)
	if got := conflicts(ours, theirs, noon); got != nil {
		t.Errorf("during a handover: %q", got)
	}
}

// TestObstacles is why a host does not let another one be drained.
func TestObstacles(t *testing.T) {
	asks := handover{Masters: []string{"carp1", "carp2"}, Demotions: map[string]int{"carp1": 5}, Pfsync: true, States: 1000}
	for name, c := range map[string]struct {
		change func(*nodeStatus)
		want   []string
	}{
		"nothing":        {func(*nodeStatus) {}, nil},
		"as much":        {func(s *nodeStatus) { s.Interfaces[0].Demotion = 5 }, nil},
		"a few states":   {func(s *nodeStatus) { s.Pfsync.States = 840 }, nil},
		"most states":    {func(s *nodeStatus) { s.Pfsync.States = 800 }, []string{"it has 800 states of 1000"}},
		"maintenance":    {func(s *nodeStatus) { s.Maintenance = "persistent" }, []string{"it is in maintenance"}},
		"no carp2":       {func(s *nodeStatus) { s.Interfaces = s.Interfaces[:1] }, []string{"it has no carp2"}},
		"no link":        {func(s *nodeStatus) { s.Interfaces[1].State = "INIT" }, []string{"carp2 is down, or has no link"}},
		"broken":         {func(s *nodeStatus) { s.Interfaces[1].Error = "no carpdev" }, []string{"carp2: no carpdev"}},
		"no pfsync0":     {func(s *nodeStatus) { s.Pfsync = nil }, []string{"pfsync0 is not up"}},
		"pfsync0 down":   {func(s *nodeStatus) { s.Pfsync.Up = false }, []string{"pfsync0 is not up"}},
		"no sync link":   {func(s *nodeStatus) { s.Pfsync.Link = "down" }, []string{"pfsync0 has no link"}},
		"not synced yet": {func(s *nodeStatus) { s.Pfsync.Synced = false }, []string{"pfsync0 waits for a bulk update"}},
		"demoted": {func(s *nodeStatus) {
			s.Interfaces[0].Demotion = 6
			s.Demotions = []demotionStatus{{"carp", "carp1", "hook 10-wan", 6}}
		}, []string{"carp1 is demoted by 6, and by 5 at the host that asks (hook 10-wan)"}},
	} {
		s := exampleNode("fw2", "BACKUP")
		c.change(&s)
		if diff := cmp.Diff(c.want, asks.obstacles(s, false)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := asks.obstacles(exampleNode("fw2", "BACKUP"), true); !cmp.Equal(got, []string{"it is being drained, too"}) {
		t.Errorf("both at once: %q", got)
	}
}

// TestNeighbour: what the other host said stays when it is silent, in times of our
// clock, and the time of a change is that of the first answer of its kind.
func TestNeighbour(t *testing.T) {
	n := &neighbour{address: netip.MustParseAddr("10.10.10.2")}
	if v := n.view(); v.report.State != peerNew || v.report.Address != n.address {
		t.Errorf("at first: %+v", v.report)
	}
	sent := peerAnswer{nodeStatus: exampleNode("fw2", "MASTER"), Time: noon.Add(time.Minute)}
	sent.Interfaces[0].Heard = carp.Heard{At: noon, Src: netip.MustParseAddr("172.16.0.1")}
	b, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	var a peerAnswer
	if err := json.Unmarshal(b, &a); err != nil { // as it comes through the channel
		t.Fatal(err)
	}
	n.set(a, nil, noon)
	before, after := n.set(peerAnswer{}, peer.ErrUnreachable, noon.Add(time.Second))
	n.set(peerAnswer{}, peer.ErrUnreachable, noon.Add(2*time.Second))
	if before.report.State != peerUp || after.report.State != peerDown {
		t.Errorf("%s, then %s", before.report.State, after.report.State)
	}
	v := n.view()
	want := peerReport{
		State: peerDown, Address: n.address, Since: noon.Add(time.Second), Answered: noon, Error: peer.ErrUnreachable.Error(),
	}
	if diff := cmp.Diff(want, v.report, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	i := v.answer.Interfaces[0]
	if v.answer.Local || v.offset != time.Minute || !i.Since.Equal(noon.Add(-time.Hour-time.Minute)) || !i.Heard.At.Equal(noon.Add(-time.Minute)) {
		t.Errorf("%+v, offset %v", i, v.offset)
	}
	for state, err := range map[string]error{
		peerUp: nil, peerWrong: peer.ErrAuth, peerSelf: peer.ErrSelf, peerFails: &peer.Error{Status: 500}, peerDown: errors.New("x"),
	} {
		if got := peerState(err); got != state {
			t.Errorf("%v: %s", err, got)
		}
	}
}

// TestPeerMetrics: of a host that never answered there is no age.
func TestPeerMetrics(t *testing.T) {
	for want, r := range map[string]peerReport{
		"":                                       {State: peerNone},
		"firewall_peer_up 0\n":                   {State: peerWrong},
		"firewall_peer_up 1\n":                   {State: peerUp, Answered: noon.Add(-1500 * time.Millisecond)},
		"firewall_peer_answer_age_seconds 1.5\n": {State: peerDown, Answered: noon.Add(-1500 * time.Millisecond)},
		"firewall_peer_conflicts 1\n":            {State: peerUp, Conflicts: []string{"x"}},
		"firewall_peer_differences 2\n":          {State: peerUp, Differences: []string{"x", "y"}},
	} {
		var b strings.Builder
		statusReport{Time: noon, Peer: r}.writePeerMetrics(&b)
		got := b.String()
		if !strings.Contains(got, want) || (got == "") != (r.State == peerNone) || strings.Contains(got, "_age_") != !r.Answered.IsZero() {
			t.Errorf("%+v: want %q in\n%s", r, want, got)
		}
	}
}

func TestIsMaster(t *testing.T) {
	s := exampleNode("fw2", "MASTER")
	if !s.isMaster([]string{"carp1", "carp2"}) || s.isMaster([]string{"carp1", "carp3"}) {
		t.Error("it is master of carp1 and carp2, and there is no carp3")
	}
	s.Interfaces[1].State = "BACKUP"
	if s.isMaster([]string{"carp1", "carp2"}) {
		t.Error("carp2 is a backup")
	}
}
