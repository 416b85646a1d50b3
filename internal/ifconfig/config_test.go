package ifconfig

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/carp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var noPos = cmp.Options{
	cmpopts.IgnoreFields(Interface{}, "At"), cmpopts.IgnoreFields(Address{}, "Pos"),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func address(s string) Address {
	p := netip.MustParsePrefix(s)
	a := Address{Prefix: p}
	if p.Addr().Is4() && p.Bits() < 31 {
		a.Broadcast = broadcast(p)
	}
	return a
}

// What an interface is asked to be, by default and with every word.
func TestWith(t *testing.T) {
	c := config(t, map[string]string{
		"carp2": "", "carp10": "vhid 10",
		"carp1": `
inet 172.16.0.100 255.255.255.0 172.16.0.255 vhid 1 carpdev em0 pass 'two words' advbase 2 advskew 100
inet alias 172.16.0.101 255.255.255.255
inet6 2001:db8::100 64
carppeer 10.0.0.2 lladdr 02:00:5e:10:20:30 mtu 1400 description LAN
group internal
group carp
group all
-group carp
state backup
!echo $if
down
`,
		"pfsync0": "up syncdev em1 syncpeer 10.10.10.2 maxupd 1 defer version 1400 mtu 1480\n",
	})
	want := Config{
		Carp: []CarpInterface{
			{
				Interface: Interface{Name: "carp1", Groups: []string{"internal"}, Description: "LAN", MTU: 1400},
				VHID:      1, CarpDev: "em0", AdvBase: 2, AdvSkew: 100, Pass: "two words",
				Peer: netip.MustParseAddr("10.0.0.2"), LLAddr: carp.HardwareAddr{2, 0, 0x5e, 0x10, 0x20, 0x30},
				Addresses: []Address{address("172.16.0.100/24"), address("172.16.0.101/32"), address("2001:db8::100/64")},
				Down:      true,
			},
			{Interface: Interface{Name: "carp2", Groups: []string{"carp"}}, AdvBase: 1},
			{Interface: Interface{Name: "carp10", Groups: []string{"carp"}}, AdvBase: 1, VHID: 10},
		},
		Pfsync: &PfsyncInterface{
			Interface: Interface{Name: "pfsync0", Groups: []string{"carp", "pfsync"}, MTU: 1480},
			SyncDev:   "em1", SyncPeer: netip.MustParseAddr("10.10.10.2"), MaxUpd: 1, Defer: true, Version: 1400, Up: true,
		},
	}
	if diff := cmp.Diff(want, c, noPos); diff != "" {
		t.Error(diff)
	}

	empty := config(t, map[string]string{"pfsync0": ""})
	if p := empty.Pfsync; p.MaxUpd != 128 || p.Up || p.Defer || p.Version != 0 || p.SyncPeer.IsValid() {
		t.Errorf("pfsync0 as created: %+v", p)
	}
}

// The words that take something back, and those that do more than one thing.
func TestWithSteps(t *testing.T) {
	addrs := func(i CarpInterface) string {
		var s []string
		for _, a := range i.Addresses {
			s = append(s, a.Prefix.String())
		}
		return strings.Join(s, " ")
	}
	groups := func(i CarpInterface) string { return strings.Join(i.Groups, " ") }
	nodes := func(i CarpInterface) string {
		return strings.TrimSpace(fmt.Sprintf("%d:%d %s %s", i.VHID, i.AdvSkew, nodesString(i.Nodes), i.Balancing))
	}
	for _, tt := range []struct {
		what  string
		file  string
		steps []string
		show  func(CarpInterface) string
		want  string
	}{
		{"the first address is replaced", "10.0.0.1/24\nalias 10.0.0.2/24\n", []string{"10.0.0.3/24"}, addrs, "10.0.0.3/24 10.0.0.2/24"},
		{"by an alias", "10.0.0.1/24\nalias 10.0.0.2/24\n", []string{"10.0.0.2/25"}, addrs, "10.0.0.2/25"},
		{"by itself", "10.0.0.1/24\n", []string{"10.0.0.1/25"}, addrs, "10.0.0.1/25"},
		{"behind an IPv6 address", "2001:db8::1/64\n10.0.0.1/24\n", []string{"10.0.0.3/24"}, addrs, "2001:db8::1/64 10.0.0.3/24"},
		{"an alias once more", "10.0.0.1/24\nalias 10.0.0.2/24\n", []string{"alias 10.0.0.2/32"}, addrs, "10.0.0.1/24 10.0.0.2/32"},
		{"IPv6 addresses add up", "2001:db8::1/64\n", []string{"inet6 2001:db8::2/64", "inet6 2001:db8::1/48"}, addrs, "2001:db8::1/48 2001:db8::2/64"},
		{"delete one", "10.0.0.1/24\nalias 10.0.0.2/24\n", []string{"10.0.0.2 delete"}, addrs, "10.0.0.1/24"},
		{"delete the first", "2001:db8::1/64\n10.0.0.1/24\nalias 10.0.0.2/24\n", []string{"delete"}, addrs, "2001:db8::1/64 10.0.0.2/24"},
		{"no more IPv4", "2001:db8::1/64\n10.0.0.1/24\nalias 10.0.0.2/24\n", []string{"-inet"}, addrs, "2001:db8::1/64"},
		{"no more IPv6", "2001:db8::1/64\n10.0.0.1/24\n", []string{"-inet6"}, addrs, "10.0.0.1/24"},
		{"groups", "group a\ngroup b\n", []string{"-group a", "group c", "group b"}, groups, "carp b c"},
		{"two nodes", "vhid 3 advskew 9\n", []string{"carpnodes 1:0,2:100 balancing ip"}, nodes, "1:0 1:0,2:100 ip"},
		{"advskew is that of the first", "carpnodes 1:0,2:100\n", []string{"advskew 7"}, nodes, "1:7 1:7,2:100"},
		{"vhid ends balancing", "carpnodes 1:0,2:100 balancing ip\n", []string{"vhid 5"}, nodes, "5:0"},
		{"balancing none", "carpnodes 1:0,2:100 balancing ip\n", []string{"balancing none"}, nodes, "1:0 1:0,2:100"},
		{"one node is a vhid", "vhid 9\n", []string{"carpnodes 1:20"}, nodes, "1:20"},
		{"back to what was", "vhid 1 pass x carpdev em0 carppeer 10.0.0.2 description d\n",
			[]string{"-pass", "-carpdev -carppeer", "-description", "down", "up"}, func(i CarpInterface) string {
				return fmt.Sprintf("%q %q %v %q %v", string(i.Pass), i.CarpDev, i.Peer.IsValid(), i.Description, i.Down)
			}, `"" "" false "" false`},
		{"an address takes nothing up", "vhid 1\ndown\n", []string{"10.0.0.1/24"}, func(i CarpInterface) string { return fmt.Sprint(i.Down) }, "true"},
	} {
		c := config(t, map[string]string{"carp1": tt.file})
		for _, step := range tt.steps {
			var err error
			if c, err = run(t, c, "carp1 "+step); err != nil {
				t.Fatal(err)
			}
		}
		if i, ok := c.Find("carp1"); !ok || tt.show(i) != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, tt.show(i), tt.want)
		}
	}

	c := config(t, map[string]string{"pfsync0": "up syncdev em1 syncpeer 10.0.0.2 defer version 1301\n", "carp1": "vhid 1", "carp2": "vhid 2"})
	for _, step := range []string{"pfsync0 -syncdev -syncpeer -defer version 0 down", "carp1 destroy", "carp3 create", "carp4 vhid 4"} {
		var err error
		if c, err = run(t, c, step); err != nil {
			t.Fatal(err)
		}
	}
	if d := Diff(c, config(t, map[string]string{"pfsync0": "", "carp2": "vhid 2", "carp3": "", "carp4": "vhid 4"})); d != nil {
		t.Errorf("differs by %v", d)
	}
	c, err := run(t, c, "pfsync0 destroy")
	if err != nil || c.Pfsync != nil {
		t.Errorf("pfsync0 is still there: %v", err)
	}
}

// A Config that another one was made of stays as it was, whatever was changed.
func TestWithCopies(t *testing.T) {
	files := map[string]string{
		"carp1":   "vhid 1 10.0.0.1/24\nalias 10.0.0.2/24\ngroup a\ngroup b\n",
		"carp2":   "carpnodes 1:0,2:100\n",
		"pfsync0": "up syncdev em1\n",
	}
	c := config(t, files)
	at := c.Carp[0].At[VHID]
	for _, line := range []string{
		"carp1 vhid 9", "carp1 10.0.0.9/24", "carp1 10.0.0.2/24", "carp1 delete", "carp1 -inet", "carp1 alias 10.0.0.2/32", "carp1 -group a",
		"carp1 group z", "carp2 advskew 9", "carp1 destroy", "carp0 create", "carp3 create", "pfsync0 down group x", "pfsync0 destroy",
	} {
		if _, err := run(t, c, line); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(config(t, files), c, noPos); diff != "" {
		t.Error(diff)
	}
	if c.Carp[0].At[VHID] != at {
		t.Error("positions changed")
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		what  string
		files map[string]string
		want  string // lines
	}{
		{"complete", map[string]string{"carp1": "vhid 1 10.0.0.1/24", "pfsync0": "up syncdev em1"}, ""},
		{"nothing", nil, ""},
		{"the same vhid elsewhere", map[string]string{"carp1": "vhid 1 carpdev em0 10.0.0.1/24", "carp2": "vhid 1 carpdev em2 10.0.1.1/24"}, ""},
		{"the same vhid, parents not known", map[string]string{"carp1": "vhid 1 10.0.0.1/24", "carp2": "vhid 1 10.0.1.1/24"}, ""},
		{"pfsync0 down", map[string]string{"pfsync0": ""}, ""},
		{"empty", map[string]string{"carp1": ""}, `
hostname.carp1: expected "vhid N", a number from 1 to 255
hostname.carp1: expected an address to share`},
		{"no vhid", map[string]string{"carp1": "\ninet 10.0.0.1/24"}, `
hostname.carp1: expected "vhid N", a number from 1 to 255`},
		{"no address", map[string]string{"carp1": "vhid 1 carpdev em0"}, `
hostname.carp1: expected an address to share`},
		{"no syncdev", map[string]string{"pfsync0": "# x\nup"}, `
hostname.pfsync0:2: expected "syncdev IF" with it`},
		{"one vhid, two interfaces", map[string]string{"carp1": "vhid 1 carpdev em0 10.0.0.1/24", "carp2": "carpdev em0\nvhid 1 10.0.1.1/24"}, `
hostname.carp2:2: vhid 1 on em0 is that of carp1`},
		{"a node's vhid", map[string]string{"carp1": "carpnodes 1:0,2:0 carpdev em0 10.0.0.1/24", "carp2": "carpdev em0\nvhid 2 10.0.1.1/24"}, `
hostname.carp2:2: vhid 2 on em0 is that of carp1`},
		{"one address, two interfaces", map[string]string{"carp1": "vhid 1 10.0.0.1/24", "carp2": "vhid 2 10.0.1.1/24\nalias 10.0.0.1/32"}, `
hostname.carp2:2: word "10.0.0.1": this address is that of carp1`},
		{"parents that are none", map[string]string{"carp1": "vhid 1 carpdev carp2 10.0.0.1/24", "pfsync0": "up\nsyncdev carp1"}, `
hostname.carp1:1: carp2 is no real interface
hostname.pfsync0:2: carp1 is no real interface`},
	} {
		var have string
		if err := config(t, tt.files).Validate(); err != nil {
			have = "\n" + err.Error()
		}
		if have != tt.want {
			t.Errorf("%s: got %s\nwant %s", tt.what, have, tt.want)
		}
	}

	// What is only incomplete is no conflict: commands come one by one.
	var c Config
	for _, line := range []string{"carp1 create", "carp1 vhid 1 carpdev em0", "pfsync0 up"} {
		var err error
		if c, err = run(t, c, line); err != nil {
			t.Fatal(err)
		}
		if err := c.Conflicts(); err != nil {
			t.Errorf("after %s: %v", line, err)
		}
	}
	if c, err := run(t, c, "carp2 vhid 1 carpdev em0"); err != nil || c.Conflicts() == nil ||
		c.Conflicts().Error() != "ifconfig carp2: vhid 1 on em0 is that of carp1" {
		t.Errorf("conflict: %v, %v", err, c.Conflicts())
	}
	// A configuration that was not parsed has no positions.
	c = Config{Carp: []CarpInterface{{Interface: Interface{Name: "carp7"}, Addresses: []Address{address("10.0.0.1/24")}}}}
	if err := c.Validate(); err == nil || err.Error() != `ifconfig: carp7: expected "vhid N", a number from 1 to 255` {
		t.Errorf("no position: %v", err)
	}
}

func TestDiff(t *testing.T) {
	base := map[string]string{
		"carp1":   "vhid 1 carpdev em0 pass lanpasswd 10.0.0.1/24\nalias 10.0.0.2/32\ngroup a\ngroup b\n",
		"carp2":   "vhid 2 carpdev em2 pass netpasswd 10.0.1.1/24\n",
		"pfsync0": "up syncdev em1\n",
	}
	for _, tt := range []struct {
		what  string
		files map[string]string // instead of those of base; "-": none
		want  string
	}{
		{"nothing", nil, "[]"},
		{"only where it is written", map[string]string{"carp1": "# moved\ngroup b\nalias 10.0.0.2/32\n10.0.0.9/24\n" +
			"10.0.0.1 netmask 255.255.255.0\nalias 10.0.0.2/32\ngroup a\n\nvhid 1\ncarpdev em0\npass 'lanpasswd'\ncarppeer 224.0.0.18 down\nup\n"}, "[]"},
		{"one word", map[string]string{"carp1": base["carp1"] + "advskew 100\n"}, "[carp1: advskew]"},
		{"all words", map[string]string{"carp1": "carpnodes 3:1,4:1 balancing ip carpdev em5 pass other advbase 3 carppeer 10.0.0.9 " +
			"lladdr 02:00:5e:10:20:30 10.0.0.7/24 mtu 1400 descr x group c down"},
			"[carp1: vhid, carpnodes, balancing, carpdev, advbase, advskew, pass, carppeer, lladdr, address, down, mtu, description, group]"},
		{"a mask", map[string]string{"carp2": "vhid 2 carpdev em2 pass netpasswd 10.0.1.1/25\n"}, "[carp2: address]"},
		{"a broadcast address", map[string]string{"carp2": "vhid 2 carpdev em2 pass netpasswd 10.0.1.1/24 broadcast 10.0.1.0\n"}, "[carp2: address]"},
		{"one address less", map[string]string{"carp1": "vhid 1 carpdev em0 pass lanpasswd 10.0.0.1/24\ngroup a\ngroup b\n"}, "[carp1: address]"},
		{"removed before changed before added", map[string]string{"carp1": "-", "carp2": base["carp2"] + "down", "carp3": "vhid 1 carpdev em0", "pfsync0": "-"},
			"[carp1: removed carp2: down carp3: added pfsync0: removed]"},
		{"pfsync0", map[string]string{"pfsync0": "syncdev em7 syncpeer 10.9.9.9 maxupd 1 defer version 1301 mtu 1400 descr x group y"},
			"[pfsync0: syncdev, syncpeer, maxupd, defer, version, down, mtu, description, group]"},
	} {
		files := make(map[string]string)
		for _, m := range []map[string]string{base, tt.files} {
			for ifname, data := range m {
				if files[ifname] = data; data == "-" {
					delete(files, ifname)
				}
			}
		}
		if have := fmt.Sprint(Diff(config(t, base), config(t, files))); have != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, have, tt.want)
		}
	}

	// And back.
	from := config(t, map[string]string{"carp1": "down", "pfsync0": "up defer"})
	to := config(t, map[string]string{"carp1": ""})
	back := Diff(from, to)
	if have := fmt.Sprint(back); have != "[carp1: up pfsync0: removed]" || !back[0].Has(Pass, Up) || back[0].Has(Down) || !back[1].Removed {
		t.Error(have)
	}
	if have := fmt.Sprint(Diff(to, from)); have != "[carp1: down pfsync0: added]" {
		t.Error(have)
	}
	if have := fmt.Sprint(Diff(from, config(t, map[string]string{"carp1": "down", "pfsync0": ""}))); have != "[pfsync0: -defer, down]" {
		t.Error(have)
	}
	if have := fmt.Sprint(Diff(config(t, map[string]string{"carp1": "down", "pfsync0": ""}), from)); have != "[pfsync0: defer, up]" {
		t.Error(have)
	}
}

// Every field of an interface counts in Diff but those that say where it came from.
func TestDiffComplete(t *testing.T) {
	carp := []string{"vhid 1", "carpdev em0", "advbase 2", "advskew 1", "pass x", "carppeer 10.0.0.2", "lladdr 02:00:5e:10:20:30", "10.0.0.1/24",
		"down", "carpnodes 1:0,2:0", "balancing ip", "group x", "description x", "mtu 1400"}
	pfsync := []string{"syncdev em1", "syncpeer 10.0.0.2", "maxupd 1", "defer", "version 1301", "up", "group x", "description x", "mtu 1400"}
	for ifname, all := range map[string][]string{"carp1": carp, "pfsync0": pfsync} {
		empty := config(t, map[string]string{ifname: ""})
		for _, words := range all {
			d := Diff(empty, config(t, map[string]string{ifname: words}))
			op := Op(strings.Fields(words)[0])
			if op == "10.0.0.1/24" {
				op = SetAddress
			}
			if len(d) != 1 || !slices.Contains(d[0].Words, op) {
				t.Errorf("%s %s: %v", ifname, words, d)
			}
		}
	}
}
