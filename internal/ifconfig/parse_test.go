package ifconfig

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// summary is the changes in the words of ifconfig.
func summary(changes []Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, strings.Join(c.Words(), " "))
	}
	return strings.Join(all, "; ")
}

// What commands are read as, besides those of the FAQ.
func TestParseCommand(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"carp1 vhid 255 advbase 0 advskew 254", "vhid 255; advbase 0; advskew 254"},
		{"carp1 create vhid 007", "create; vhid 7"},
		{"carp1 destroy", "destroy"},
		{"carp1 carpdev eth0.100", "carpdev eth0.100"},
		{"carp1 parent em0", "carpdev em0"},
		{"carp1 -carpdev", "-carpdev"},
		{"carp1 -parent", "-carpdev"},
		{"carp1 -pass", "pass "},
		{"carp1 pass ''", "pass "},
		{"carp1 pass 'two words'", "pass two words"},
		{"carp1 pass a#b", "pass a#b"},
		{"carp1 passfile lan.pass", "passfile lan.pass"},
		{"carp1 passfile '/etc/two words'", "passfile /etc/two words"},
		{"carp1 pass vhid vhid 1", "pass vhid; vhid 1"},
		{"carp1 state MASTER", "state master"},
		{"carp1 state Init", "state init"},
		{"carp1 carppeer 10.0.0.2", "carppeer 10.0.0.2"},
		{"carp1 carppeer 224.0.0.99", "carppeer 224.0.0.99"},
		{"carp1 carppeer 224.0.0.18", "-carppeer"},
		{"carp1 -carppeer", "-carppeer"},
		{"carp1 peer 10.0.0.2", "carppeer 10.0.0.2"},
		{"carp1 mcast", "-carppeer"},
		{"carp1 carpnodes 1:0,2:100 balancing IP-STEALTH", "carpnodes 1:0,2:100; balancing ip-stealth"},
		{"carp1 lladdr 2:0:5E:10:20:3", "lladdr 02:00:5e:10:20:03"},
		{"carp1 descr 'the LAN' mtu 1400", "description the LAN; mtu 1400"},
		{"carp1 -descr", "-description"},
		{"carp1 group internal -group carp", "group internal; -group carp"},
		{"carp1 up", "up"},

		{"carp1 10.0.0.1 netmask 0xFFFFFF00", "inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255"},
		{"carp1 10.0.0.1/24", "inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255"},
		{"carp1 inet 10.0.0.1/24 netmask 255.255.255.0", "inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255"},
		{"carp1 inet 10.0.0.1 prefixlen 24", "inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255"},
		{"carp1 10.0.0.1/24 broadcast 10.0.0.127", "inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.127"},
		{"carp1 10.0.0.1/32", "inet 10.0.0.1 netmask 0xffffffff"},
		{"carp1 10.0.0.1/31", "inet 10.0.0.1 netmask 0xfffffffe"},
		{"carp1 10.0.0.0/31", "inet 10.0.0.0 netmask 0xfffffffe"},
		{"carp1 10.0.0.1", "inet 10.0.0.1 netmask 0xff000000 broadcast 10.255.255.255"},
		{"carp1 172.16.0.1", "inet 172.16.0.1 netmask 0xffff0000 broadcast 172.16.255.255"},
		{"carp1 192.0.2.1", "inet 192.0.2.1 netmask 0xffffff00 broadcast 192.0.2.255"},
		{"carp1 inet6 2001:db8::1 prefixlen 48", "inet6 2001:db8::1 prefixlen 48"},
		{"carp1 inet6 2001:DB8::1/48", "inet6 2001:db8::1 prefixlen 48"},
		{"carp1 inet6 2001:db8::1", "inet6 2001:db8::1 prefixlen 64"},
		{"carp1 2001:db8::1/64", "inet6 2001:db8::1 prefixlen 64"},
		{"carp1 inet6 fe80::1%carp1/64", "inet6 fe80::1 prefixlen 64"},
		{"carp1 inet alias 10.0.0.2/24", "inet alias 10.0.0.2 netmask 0xffffff00 broadcast 10.0.0.255"},
		{"carp1 10.0.0.2/24 alias", "inet alias 10.0.0.2 netmask 0xffffff00 broadcast 10.0.0.255"},
		{"carp1 alias 10.0.0.2 netmask 255.255.255.255", "inet alias 10.0.0.2 netmask 0xffffffff"},
		{"carp1 inet6 alias 2001:db8::2/64", "inet6 alias 2001:db8::2 prefixlen 64"},
		{"carp1 10.0.0.2 delete", "inet 10.0.0.2 delete"},
		{"carp1 -alias 10.0.0.2", "inet 10.0.0.2 delete"},
		{"carp1 inet6 2001:db8::2 delete", "inet6 2001:db8::2 delete"},
		{"carp1 delete", "delete"},
		{"carp1 inet delete", "delete"},
		{"carp1 -inet -inet6", "-inet; -inet6"},
		// Whatever the order, the address is last.
		{"carp1 10.0.0.1 vhid 1 netmask 255.255.255.0 advskew 5", "vhid 1; advskew 5; inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255"},
		// FreeBSD's form of the same.
		{"carp1 inet vhid 1 pass testpass alias 192.168.1.138/32", "vhid 1; pass testpass; inet alias 192.168.1.138 netmask 0xffffffff"},

		{"em0 10.0.0.1/24 up", "up; inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255"},
		{"em0 group sync mtu 9000", "group sync; mtu 9000"},

		{"pfsync0 create", "create"},
		{"pfsync0 syncif em1 maxupd 0 defer", "syncdev em1; maxupd 0; defer"},
		{"pfsync0 -syncif -syncpeer -defer", "-syncdev; -syncpeer; -defer"},
		{"pfsync0 -syncdev", "-syncdev"},
		{"pfsync0 syncpeer 224.0.0.240", "-syncpeer"},
		{"pfsync0 syncpeer 2001:db8::2", "syncpeer 2001:db8::2"},
		{"pfsync0 version 1400 maxupd 255 mtu 9000 group sync", "version 1400; maxupd 255; mtu 9000; group sync"},
		{"pfsync0 version 0 down", "version 0; down"},
	} {
		_, args := shell(t, "ifconfig "+tt.line)
		cmd, err := ParseCommand(args)
		if err != nil || cmd.Action != Configure || cmd.Name != args[0] || summary(cmd.Changes) != tt.want {
			t.Errorf("ifconfig %s\n got %s, %v\nwant %s", tt.line, summary(cmd.Changes), err, tt.want)
		}
	}
}

func TestParseShow(t *testing.T) {
	for line, want := range map[string]Command{
		"":                         {},
		"-a":                       {},
		"-A inet6":                 {},
		"carp1":                    {Name: "carp1"},
		"carp1 inet":               {Name: "carp1"},
		"carp":                     {Name: "carp"},
		"-g internal":              {Action: ShowGroup, Name: "internal"},
		"-g internal carpdemote":   {Action: Demote, Name: "internal", Demote: 1},
		"-g internal -carpdemote":  {Action: Demote, Name: "internal", Demote: -1},
		"-g carp carpdemote 128":   {Action: Demote, Name: "carp", Demote: 128},
		"-g carp -carpdemote 128":  {Action: Demote, Name: "carp", Demote: -128},
		"-g carp carpdemote 0":     {Action: Demote, Name: "carp"},
		"-g egress -carpdemote 01": {Action: Demote, Name: "egress", Demote: -1},
	} {
		_, args := shell(t, "ifconfig "+line)
		have, err := ParseCommand(args)
		if diff := cmp.Diff(want, have); diff != "" || err != nil {
			t.Errorf("ifconfig %s: %v %s", line, err, diff)
		}
	}
}

// What files are read as: the packed form, quotes, comments.
func TestParseHostname(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"", ""},
		{"# nothing\n\n", ""},
		{"inet\n", ""},
		{"inet 10.0.0.1 255.255.255.0\n", "inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255"},
		{"inet 10.0.0.1 255.255.255.0 NONE\n", "inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255"},
		{"inet 10.0.0.1 255.255.255.0 NONE vhid 1\n", "vhid 1; inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255"},
		{"inet 10.0.0.1 0xffffff00 10.0.0.127\n", "inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.127"},
		{"inet 10.0.0.1/24 vhid 1\n", "vhid 1; inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255"},
		{"inet 10.0.0.1 255.255.255.0 vhid 1\n", "vhid 1; inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255"},
		{"inet 10.0.0.1 netmask 255.255.255.0 vhid 1\n", "vhid 1; inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255"},
		{"inet vhid 1 pass x alias 10.0.0.1/32\n", "vhid 1; pass x; inet alias 10.0.0.1 netmask 0xffffffff"},
		{"inet alias 10.0.0.2 255.255.255.255\n", "inet alias 10.0.0.2 netmask 0xffffffff"},
		{"inet alias 10.0.0.2 255.255.255.255 10.0.0.2\n", "inet alias 10.0.0.2 netmask 0xffffffff broadcast 10.0.0.2"},
		{"inet alias 10.0.0.2/32\n", "inet alias 10.0.0.2 netmask 0xffffffff"},
		{"inet6 2001:db8::100 64\n", "inet6 2001:db8::100 prefixlen 64"},
		{"inet6 alias 2001:db8::100 64 description x\n", "description x; inet6 alias 2001:db8::100 prefixlen 64"},
		{"inet6 2001:db8::100/48\n", "inet6 2001:db8::100 prefixlen 48"},
		{"inet6 2001:db8::100\n", "inet6 2001:db8::100 prefixlen 64"},
		{"group internal\nup\n-inet\n", "group internal; up; -inet"},
		{"pass \"Bob's uplink\" # a comment\nvhid 1", "pass Bob's uplink; vhid 1"},
		{"pass 'a#b $c'\n", "pass a#b $c"},
		{"! ifconfig $if debug; logger \\$if # x\ndown\n", "! ifconfig carp1 debug; logger carp1 # x; down"},
	} {
		have, err := ParseHostname("carp1", tt.file)
		if err != nil || summary(have) != tt.want {
			t.Errorf("%q\n got %s, %v\nwant %s", tt.file, summary(have), err, tt.want)
		}
	}
	have, err := ParseHostname("gif0", "inet 10.0.0.1 255.255.255.252\ndest 10.0.0.2\n")
	if want := "inet 10.0.0.1 netmask 0xfffffffc broadcast 10.0.0.3; dest 10.0.0.2"; err != nil || summary(have) != want {
		t.Errorf("dest: %s, %v", summary(have), err)
	}
}

// Changes say where they come from.
func TestPositions(t *testing.T) {
	changes, err := ParseHostname("carp1", "# x\ninet 10.0.0.1 255.255.255.0 NONE vhid 1 \\\n\tpass x\n\n!ls\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []Pos{{"hostname.carp1", 2, 5}, {"hostname.carp1", 3, 7}, {"hostname.carp1", 2, 2}, {"hostname.carp1", 5, 0}}
	var have []Pos
	for _, c := range changes {
		have = append(have, c.Pos)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}

	// A client can find the passphrase among its arguments, to hide it there.
	args := []string{"carp1", "vhid", "1", "pass", "lanpasswd"}
	cmd, err := ParseCommand(args)
	if err != nil || args[cmd.Changes[1].Pos.Word] != "lanpasswd" {
		t.Errorf("%v: %v", cmd.Changes, err)
	}
}

func TestHostnameInterface(t *testing.T) {
	for file, want := range map[string]string{
		"hostname.carp1": "carp1", "hostname.pfsync0": "pfsync0", "hostname.em0": "em0", "hostname.carp10": "carp10",
		"hostname.carp1~": "", "hostname.carp1.bak": "", ".hostname.carp1.swp": "", "hostname.carp": "", "hostname.": "",
		"hostname.1": "", "carp1": "", "hostname.*": "", "hostname.carp1a": "", "hostname.c1arp1": "", "hostname.abcdefghijklmno1": "",
	} {
		if have, ok := HostnameInterface(file); ok != (want != "") || ok && have != want {
			t.Errorf("%s: %q, %v", file, have, ok)
		}
	}
}

func TestKindOf(t *testing.T) {
	for name, want := range map[string]Kind{
		"carp0": KindCarp, "carp255": KindCarp, "pfsync0": KindPfsync, "pfsync1": KindPfsync, "em0": KindOther, "carp": KindOther,
		"carp01": KindOther, "carpx1": KindOther, "carp1x": KindOther, "pfsync": KindOther, "": KindOther, "carp-1": KindOther,
	} {
		if have := KindOf(name); have != want {
			t.Errorf("%s: %d, want %d", name, have, want)
		}
	}
}
