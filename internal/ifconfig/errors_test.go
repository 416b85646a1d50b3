package ifconfig

import (
	"errors"
	"strings"
	"testing"
)

const (
	carpWords = "-alias -carpdev -carppeer -descr -description -group -inet -inet6 -parent -pass advbase advskew" +
		" alias balancing broadcast carpdev carpnodes carppeer create delete descr description destroy down group" +
		" inet inet6 lladdr mcast mtu netmask parent pass passfile peer prefixlen state up vhid"
	pfsyncWords = "-defer -descr -description -group -syncdev -syncif -syncpeer create defer descr description" +
		" destroy down group maxupd mtu syncdev syncif syncpeer up version"
	otherWords = "-alias -descr -description -group -inet -inet6 alias broadcast create delete descr description" +
		" destroy down group inet inet6 lladdr mtu netmask prefixlen up"
	groupName = "the name of a group, of 1 to 15 characters and not ending in a digit"
)

// Every error of a command, word for word.
func TestCommandErrors(t *testing.T) {
	tests := []struct{ line, want string }{
		// What is not known, or not here.
		{"carp1 advskeww 100", `ifconfig carp1: word "advskeww": expected an address or one of ` + carpWords},
		{"pfsync0 sindev em1", `ifconfig pfsync0: word "sindev": expected one of ` + pfsyncWords},
		{"em0 media", `ifconfig em0: word "media": expected an address or one of ` + otherWords},
		{"carp1 ''", `ifconfig carp1: word 2: expected an address or one of ` + carpWords},
		{"em0 vhid 1", `ifconfig em0: word "vhid": expected only with a carp interface, as in "ifconfig carp1 vhid 1 carpdev em0"`},
		{"pfsync0 vhid 1", `ifconfig pfsync0: word "vhid": expected only with a carp interface`},
		{"carp1 syncdev em1", `ifconfig carp1: word "syncdev": expected only with pfsync0`},
		{"em0 maxupd 1", `ifconfig em0: word "maxupd": expected only with pfsync0`},
		{"pfsync0 10.0.0.1/24", `ifconfig pfsync0: word "10.0.0.1/24": pfsync0 has no addresses`},
		{"pfsync0 inet", `ifconfig pfsync0: word "inet": pfsync0 has no addresses`},
		{"pfsync1 up", `ifconfig: word "pfsync1": expected pfsync0, which is the only one`},
		{"carp1 vhid 1 create", `ifconfig carp1: word "create": expected it before all other words`},
		{"carp1 destroy down", `ifconfig carp1: word "destroy": expected no other word with it`},
		{"carp1 down destroy", `ifconfig carp1: word "destroy": expected no other word with it`},
		{"-C", `ifconfig: word "-C": expected an interface, a group, -a or -g`},
		{"''", `ifconfig: word 1: expected an interface, a group, -a or -g`},
		{"en/0", `ifconfig: word "en/0": expected the name of an interface`},
		{"-a carp1", `ifconfig: word "carp1": expected nothing after -a`},

		// Arguments.
		{"carp1 vhid", `ifconfig carp1: word "vhid": expected a vhid, 1 to 255, after it`},
		{"carp1 vhid 0", `ifconfig carp1: word "0": expected a vhid, 1 to 255`},
		{"carp1 vhid 256", `ifconfig carp1: word "256": expected a vhid, 1 to 255`},
		{"carp1 vhid -1", `ifconfig carp1: word "-1": expected a vhid, 1 to 255`},
		{"carp1 vhid 1x", `ifconfig carp1: word "1x": expected a vhid, 1 to 255`},
		{"carp1 vhid 4294967297", `ifconfig carp1: word "4294967297": expected a vhid, 1 to 255`},
		{"carp1 advbase 255", `ifconfig carp1: word "255": expected seconds, 0 to 254`},
		{"carp1 advskew 255", `ifconfig carp1: word "255": expected units of 1/256 s, 0 to 254`},
		{"carp1 state slave", `ifconfig carp1: word "slave": expected init, backup or master`},
		{"carp1 carpdev", `ifconfig carp1: word "carpdev": expected the name of an interface, after it`},
		{"carp1 carpdev pass secret", `ifconfig carp1: word "carpdev": expected the name of an interface, after it`},
		{"carp1 carpdev 0123456789abcdef", `ifconfig carp1: word "0123456789abcdef": expected the name of an interface`},
		{"carp1 carpdev -x", `ifconfig carp1: word "-x": expected the name of an interface`},
		{"carp1 carpdev ..", `ifconfig carp1: word "..": expected the name of an interface`},
		{"carp1 carppeer 2001:db8::1", `ifconfig carp1: word "2001:db8::1": expected an IPv4 address`},
		{"carp1 peer 0.0.0.0", `ifconfig carp1: word "0.0.0.0": expected an IPv4 address`},
		{"carp1 peer host", `ifconfig carp1: word "host": expected an IPv4 address`},
		{"carp1 carpnodes 1:0,1:100", `ifconfig carp1: word "1:0,1:100": expected up to 32 of vhid:advskew, with commas between them`},
		{"carp1 carpnodes 1", `ifconfig carp1: word "1": expected up to 32 of vhid:advskew, with commas between them`},
		{"carp1 carpnodes 1:255", `ifconfig carp1: word "1:255": expected up to 32 of vhid:advskew, with commas between them`},
		{"carp1 carpnodes 0:1", `ifconfig carp1: word "0:1": expected up to 32 of vhid:advskew, with commas between them`},
		{"carp1 carpnodes 1:0,", `ifconfig carp1: word "1:0,": expected up to 32 of vhid:advskew, with commas between them`},
		{"carp1 balancing arp", `ifconfig carp1: word "arp": expected none, ip, ip-stealth or ip-unicast`},
		{"carp1 lladdr random", `ifconfig carp1: word "random": expected a unicast Ethernet address, as 02:00:5e:10:20:30`},
		{"carp1 lladdr 01:00:5e:00:00:12", `ifconfig carp1: word "01:00:5e:00:00:12": expected a unicast Ethernet address, as 02:00:5e:10:20:30`},
		{"carp1 lladdr 0:0:0:0:0:0", `ifconfig carp1: word "0:0:0:0:0:0": expected a unicast Ethernet address, as 02:00:5e:10:20:30`},
		{"carp1 lladdr 2:0:5e:10:20:zz", `ifconfig carp1: word "2:0:5e:10:20:zz": expected a unicast Ethernet address, as 02:00:5e:10:20:30`},
		{"carp1 lladdr 2:0:5e:10:20", `ifconfig carp1: word "2:0:5e:10:20": expected a unicast Ethernet address, as 02:00:5e:10:20:30`},
		{"carp1 group int3", `ifconfig carp1: word "int3": expected ` + groupName},
		{"carp1 -group ''", `ifconfig carp1: word 3: expected ` + groupName},
		{"carp1 mtu 67", `ifconfig carp1: word "67": expected an MTU, 68 to 65535`},
		{"carp1 descr ''", `ifconfig carp1: word 3: expected a text of 1 to 63 characters`},
		{"carp1 descr " + strings.Repeat("x", 64), `ifconfig carp1: word "` + strings.Repeat("x", 64) + `": expected a text of 1 to 63 characters`},
		{"pfsync0 maxupd 256", `ifconfig pfsync0: word "256": expected a number, 0 to 255`},
		{"pfsync0 version 1302", `ifconfig pfsync0: word "1302": expected 0, 1301, 1400 or 1500`},
		{"pfsync0 syncdev defer", `ifconfig pfsync0: word "syncdev": expected the name of an interface, after it`},
		{"pfsync0 syncpeer 224.0.0.18", `ifconfig pfsync0: word "224.0.0.18": expected the address of a host`},
		{"pfsync0 syncpeer ff02::1", `ifconfig pfsync0: word "ff02::1": expected the address of a host`},
		{"pfsync0 syncpeer fw2", `ifconfig pfsync0: word "fw2": expected the address of a host`},

		// Addresses.
		{"carp1 10.0.0.256/24", `ifconfig carp1: word "10.0.0.256/24": expected an IPv4 or IPv6 address, alone or with its prefix length`},
		{"carp1 10.0.0.1/33", `ifconfig carp1: word "10.0.0.1/33": expected an IPv4 or IPv6 address, alone or with its prefix length`},
		{"carp1 ::ffff:10.0.0.1", `ifconfig carp1: word "::ffff:10.0.0.1": expected an IPv4 or IPv6 address, alone or with its prefix length`},
		{"carp1 10.0.0.1 netmask 255.255.0.255", `ifconfig carp1: word "255.255.0.255": expected an IPv4 netmask, as 255.255.255.0 or 0xffffff00`},
		{"carp1 10.0.0.1 netmask 0xff00ff00", `ifconfig carp1: word "0xff00ff00": expected an IPv4 netmask, as 255.255.255.0 or 0xffffff00`},
		{"carp1 10.0.0.1 netmask 0.0.0.0", `ifconfig carp1: word "0.0.0.0": expected an IPv4 netmask, as 255.255.255.0 or 0xffffff00`},
		{"carp1 10.0.0.1 netmask 0xgg", `ifconfig carp1: word "0xgg": expected an IPv4 netmask, as 255.255.255.0 or 0xffffff00`},
		{"carp1 inet6 2001:db8::1 netmask 255.255.255.0", `ifconfig carp1: word "netmask": expected no word of inet after one of inet6`},
		{"carp1 10.0.0.1 netmask 24", `ifconfig carp1: word "24": expected an IPv4 netmask, as 255.255.255.0 or 0xffffff00`},
		{"carp1 10.0.0.1 prefixlen 0", `ifconfig carp1: word "0": expected a prefix length, 1 to 32 for IPv4, 1 to 128 for IPv6`},
		{"carp1 10.0.0.1 prefixlen 33", `ifconfig carp1: word "33": expected a prefix length, 1 to 32`},
		{"carp1 2001:db8::1 prefixlen 129", `ifconfig carp1: word "129": expected a prefix length, 1 to 32 for IPv4, 1 to 128 for IPv6`},
		{"carp1 10.0.0.1/0", `ifconfig carp1: word "10.0.0.1/0": expected a network smaller than the whole internet`},
		{"carp1 10.0.0.1/24 netmask 255.255.0.0", `ifconfig carp1: word "255.255.0.0": expected no other mask after one of 24 bits`},
		{"carp1 netmask 255.255.0.0 10.0.0.1/24", `ifconfig carp1: word "10.0.0.1/24": expected no other mask after one of 16 bits`},
		{"carp1 10.0.0.0/24", `ifconfig carp1: word "10.0.0.0/24": expected the address of a host, not of the network`},
		{"carp1 10.0.0.255/24", `ifconfig carp1: word "10.0.0.255/24": expected the address of a host, not the broadcast address`},
		{"carp1 0.0.0.1/8", `ifconfig carp1: word "0.0.0.1/8": expected the address of a host`},
		{"carp1 224.0.0.18/4", `ifconfig carp1: word "224.0.0.18/4": expected the address of a host`},
		{"carp1 255.255.255.255/32", `ifconfig carp1: word "255.255.255.255/32": expected the address of a host`},
		{"carp1 ::/64", `ifconfig carp1: word "::/64": expected the address of a host`},
		{"carp1 10.0.0.1/24 10.0.0.2/24", `ifconfig carp1: word "10.0.0.2/24": expected one address; others need a line or command of their own`},
		{"carp1 inet6 10.0.0.1", `ifconfig carp1: word "10.0.0.1": expected an address of inet6`},
		{"carp1 inet 2001:db8::1", `ifconfig carp1: word "2001:db8::1": expected an address of inet`},
		{"carp1 2001:db8::1 netmask 255.255.255.0", `ifconfig carp1: word "2001:db8::1": expected an address of inet`},
		{"carp1 inet6 2001:db8::1 broadcast 10.0.0.255", `ifconfig carp1: word "broadcast": expected no word of inet after one of inet6`},
		{"carp1 inet 10.0.0.1 inet6", `ifconfig carp1: word "inet6": expected no word of inet6 after one of inet`},
		{"carp1 10.0.0.1 broadcast ::1", `ifconfig carp1: word "::1": expected an IPv4 address`},
		{"carp1 netmask 255.255.255.0", `ifconfig carp1: word "netmask": expected an address with it`},
		{"carp1 broadcast 10.0.0.255", `ifconfig carp1: word "broadcast": expected an address with it`},
		{"carp1 alias", `ifconfig carp1: word "alias": expected an address with it`},
		{"carp1 inet6 delete", `ifconfig carp1: word "delete": expected an address with it`},
		{"carp1 alias 10.0.0.1 delete", `ifconfig carp1: word "delete": expected either alias or delete, not both`},
		{"carp1 inet6 fe80::1%em0/64", `ifconfig carp1: word "fe80::1%em0/64": expected an address of carp1, or without a zone`},

		{"carp1 passfile", `ifconfig carp1: word "passfile": expected the name of a file, after it`},
		{"carp1 passfile vhid 1", `ifconfig carp1: word "passfile": expected the name of a file, after it`},
		{"pfsync0 passfile x", `ifconfig pfsync0: word "passfile": expected only with a carp interface`},

		// What may be a passphrase is not shown.
		{"carp1 pass", `ifconfig carp1: word "pass": expected a passphrase without control characters, after it`},
		{"carp1 pass my secret", `ifconfig carp1: word 4: expected an address or one of ` + carpWords + ` (a passphrase with blanks needs quotes)`},
		{"carp1 pass my 10.0.0.256", `ifconfig carp1: word 4: expected an IPv4 or IPv6 address, alone or with its prefix length (a passphrase with blanks needs quotes)`},

		{"carp1 group pass secret", `ifconfig carp1: word 4: expected an address or one of ` + carpWords},
		{"carp1 vhid '1 pass secret'", `ifconfig carp1: word 3: expected a vhid, 1 to 255`},
		{"carp1 '1 pass secret'", `ifconfig carp1: word 2: expected an address or one of ` + carpWords},

		// Groups.
		{"-g", `ifconfig: word "-g": expected ` + groupName + `, after it`},
		{"-g carp1", `ifconfig: word "carp1": expected ` + groupName},
		{"-g carp demote", `ifconfig: word "demote": expected carpdemote or -carpdemote`},
		{"-g carp carpdemote 129", `ifconfig: word "129": expected a number, 0 to 128`},
		{"-g carp carpdemote -1", `ifconfig: word "-1": expected a number, 0 to 128`},
		{"-g carp carpdemote 1 2", `ifconfig: word "2": expected nothing more`},
	}
	for _, tt := range tests {
		_, args := shell(t, "ifconfig "+tt.line)
		_, err := ParseCommand(args)
		var e *Error
		if err == nil || err.Error() != tt.want {
			t.Errorf("ifconfig %s\n got %v\nwant %v", tt.line, err, tt.want)
		} else if !errors.As(err, &e) || e.Pos.File == "" {
			t.Errorf("ifconfig %s: error without a position: %#v", tt.line, err)
		}
	}

	if _, err := ParseCommand([]string{"carp1", "pass", "a\x00b"}); err == nil ||
		err.Error() != "ifconfig carp1: word 3: expected a passphrase without control characters" {
		t.Errorf("a NUL in a passphrase: %v", err)
	}
}

// Every error of a file that commands do not have. The file is hostname.carp1.
func TestHostnameErrors(t *testing.T) {
	tests := []struct{ file, want string }{
		{"vhid 1 carpdev em0 advskeww 100\n", `hostname.carp1:1: word "advskeww": expected an address or one of ` + carpWords},
		{"\n# one\nvhid 1 carpdev em0 \\\n  advskew 255\n", `hostname.carp1:4: word "255": expected units of 1/256 s, 0 to 254`},
		{"vhid 0\nup\nadvbase x", "hostname.carp1:1: word \"0\": expected a vhid, 1 to 255\n" +
			`hostname.carp1:3: word "x": expected seconds, 0 to 254`},
		{"vhid 1 \\\n\n\nvhid 0\n", `hostname.carp1:4: word "0": expected a vhid, 1 to 255`},
		{"vhid 1\r\nvhid 0\r\n", `hostname.carp1:2: word "0": expected a vhid, 1 to 255`},
		{"inet 10.0.0.1 255.0.255.0\n", `hostname.carp1:1: word "255.0.255.0": expected an IPv4 netmask, as 255.255.255.0 or 0xffffff00`},
		{"inet 10.0.0.1 NONE\n", `hostname.carp1:1: word "NONE": expected an IPv4 netmask, as 255.255.255.0 or 0xffffff00`},
		{"inet 10.0.0.1 255.255.255.0 vhidd 1\n", `hostname.carp1:1: word "vhidd": expected an IPv4 address`},
		{"inet6 2001:db8::1 129\n", `hostname.carp1:1: word "129": expected a prefix length, 1 to 32 for IPv4, 1 to 128 for IPv6`},
		{"inet6 2001:db8::1 64 10.0.0.1\n", `hostname.carp1:1: word "10.0.0.1": expected one address; others need a line or command of their own`},
		{"dest 10.0.0.1\n", `hostname.carp1:1: word "dest": carp1 is no point-to-point link`},
		{"!\n", `hostname.carp1:1: word "!": expected a command after it`},

		// The lexer's.
		{"pass 'my secret\nup\n", `hostname.carp1:1: word 2: expected a closing ' on the same line`},
		{`pass "my secret`, `hostname.carp1:1: word 2: expected a closing " on the same line`},
		{"pass 'my\\\nsecret'\n", "hostname.carp1:1: word 2: expected a closing ' on the same line\n" +
			`hostname.carp1:2: word 1: expected a closing ' on the same line`},
		{"pass pa$$word\n", `hostname.carp1:1: word 2: expected no $, which a shell would act on: put the word in single quotes`},
		{`pass "pa$word"`, `hostname.carp1:1: word 2: expected no $, which a shell would act on: put the word in single quotes`},
		{"pass a;b\n", `hostname.carp1:1: word 2: expected no ;, which a shell would act on: put the word in single quotes`},
		{"pass ~root\n", `hostname.carp1:1: word 2: expected no ~, which a shell would act on: put the word in single quotes`},
		{"pass a\x01b\n", `hostname.carp1:1: word 2: expected no control character, found 0x01`},
		{"pass a\x00b\n", `hostname.carp1:1: word 2: expected no control character, found 0x00`},
		{"pass a\\\x01b\n", `hostname.carp1:1: word 2: expected no control character after the backslash`},
		{`pass a\`, `hostname.carp1:1: word 2: expected a character after the backslash`},
		{"pass 'a\tb'\n", `hostname.carp1:1: word 2: expected a passphrase without control characters`},
		{"vhid 1 \\\n pass ${X} \\\n advskew 1\nvhid 0", "hostname.carp1:2: word 4: expected no $, which a shell would act on: put the word in single quotes\n" +
			`hostname.carp1:4: word "0": expected a vhid, 1 to 255`},
	}
	for _, tt := range tests {
		changes, err := ParseHostname("carp1", tt.file)
		if err == nil || err.Error() != tt.want || changes != nil {
			t.Errorf("%q\n got %v\nwant %v", tt.file, err, tt.want)
		}
	}

	for file, want := range map[string]string{
		"dest":           `hostname.em1:1: word "dest": expected one address after it`,
		"dest 10.0.0.1x": `hostname.em1:1: word "10.0.0.1x": expected an address`,
	} {
		if _, err := ParseHostname("em1", file); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", file, err, want)
		}
	}
	if _, err := ParseHostname("pfsync1", ""); err == nil ||
		err.Error() != `hostname.pfsync1: word "pfsync1": expected pfsync0, which is the only one` {
		t.Errorf("pfsync1: %v", err)
	}
}

// Every error of With: changes that do not fit what is there.
func TestWithErrors(t *testing.T) {
	host := config(t, map[string]string{"carp1": "vhid 1 10.0.0.1/24\ngroup internal\n"})
	tests := []struct{ line, want string }{
		{"carp1 create", `ifconfig carp1: word "create": carp1 exists already`},
		{"carp11 destroy", `ifconfig carp11: word "destroy": there is no carp11`},
		{"carp11 down", `ifconfig carp11: word 2: there is no carp11`},
		{"pfsync0 destroy", `ifconfig pfsync0: word "destroy": there is no pfsync0`},
		{"carp1 -group external", `ifconfig carp1: word "external": carp1 is not in this group`},
		{"carp1 -group all", `ifconfig carp1: word "all": every interface is in it`},
		{"carp1 10.0.0.2 delete", `ifconfig carp1: word "10.0.0.2": carp1 has no such address`},
		{"em0 10.0.0.2/24", `ifconfig em0: em0 is neither a carp interface nor pfsync0`},
	}
	for _, tt := range tests {
		if _, err := run(t, host, tt.line); err == nil || err.Error() != tt.want {
			t.Errorf("ifconfig %s\n got %v\nwant %v", tt.line, err, tt.want)
		}
	}
	bare := config(t, map[string]string{"carp1": "vhid 1"})
	if _, err := run(t, bare, "carp1 delete"); err == nil || err.Error() != "ifconfig carp1: word 2: carp1 has no such address" {
		t.Errorf("nothing to delete: %v", err)
	}
	// Changes made by a program, not by the parser.
	for _, ifname := range []string{"carp1", "pfsync0"} {
		c := Change{Pos: Pos{File: "x", Line: 1}, Op: "priority"}
		if _, err := host.With(ifname, []Change{c}); err == nil || err.Error() != `x:1: word "priority": `+ifname+` has no such thing` {
			t.Errorf("%s: %v", ifname, err)
		}
	}
	if _, err := host.With("pfsync1", nil); err == nil || err.Error() != `hostname.pfsync1: word "pfsync1": expected pfsync0, which is the only one` {
		t.Errorf("pfsync1: %v", err)
	}
}

// run applies a command line.
func run(t *testing.T, c Config, line string) (Config, error) {
	t.Helper()
	_, args := shell(t, "ifconfig "+line)
	cmd, err := ParseCommand(args)
	if err != nil {
		t.Fatal(err)
	}
	return c.With(cmd.Name, cmd.Changes)
}
