package fuzz

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/ifconfig"
)

// interfaces are one of each kind.
var interfaces = []string{"carp1", "pfsync0", "em0", "carp254"}

// FuzzHostname reads whatever an editor may leave in a hostname.if(5) file.
// What is read must be the same when it is written and read again, it must apply
// or be refused, and no error may tell a passphrase.
func FuzzHostname(f *testing.F) {
	for _, data := range []string{
		"inet 172.16.0.100 255.255.255.0 172.16.0.255 vhid 1 carpdev em0 \\\n\tpass lanpasswd\n",
		"inet alias 10.0.0.1 0xffffffff NONE # comment \\\n and more\r\n!echo $if\n\ninet6 2001:db8::1 64 advskew 100\n",
		"pass \"it's\" descr 'a \"b\" \\c' group x -group x state init lladdr 2:0:0:0:0:1\ncarpnodes 1:0,2:3 balancing ip\n",
		"up syncdev em1 syncpeer 10.0.0.2 maxupd 1 defer version 1400 mtu 1400\n", "vhid 1\n10.0.0.1/24\n-inet\ndelete\n", "dest 10.0.0.1",
		"passfile 'a b' vhid 1", "peer 224.0.0.1\nmcast\n10.0.0.1 broadcast 10.0.0.3\ndown\n-pass", "create\nfe80::1%carp1/10 alias\nfe80::1 delete",
	} {
		for i := range interfaces {
			f.Add(uint8(i), data, "")
		}
	}
	f.Add(uint8(0), "vhid '1", "carpdev ' em0")
	f.Fuzz(func(t *testing.T, which uint8, data, more string) {
		ifname := interfaces[int(which)%len(interfaces)]
		if _, err := ifconfig.ParseHostname(ifname, data+" pass hunter2hunter2 "+more); err != nil {
			checkErrors(t, err)
			if strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("the passphrase is in the error: %v", err)
			}
		}
		changes, err := ifconfig.ParseHostname(ifname, data)
		if err != nil {
			checkErrors(t, err)
			return
		}
		for _, c := range changes {
			if c.Pos.File != "hostname."+ifname || c.Pos.Line < 1 || c.Pos.Line > strings.Count(data, "\n")+1 {
				t.Fatalf("%v is at %+v", c, c.Pos)
			}
			checkChange(t, ifname, c)
		}
		checkConfig(t, ifname, changes)
	})
}

// vocabulary is what sentences are made of that come far into the parser.
var vocabulary = strings.Fields(`
carp1 create vhid 1 2 advbase 0 advskew 100 254 255 pass secret carpdev em0 -carpdev -pass state master carppeer 10.0.0.2
224.0.0.18 -carppeer peer mcast carpnodes 1:0,2:100 3:4 balancing ip none lladdr 02:00:5e:10:20:30 group internal carp
-group mtu 1400 descr LAN -descr up down inet inet6 alias delete -alias -inet -inet6 netmask 255.255.255.0 0xffffff00
255.255.255.255 prefixlen 24 64 32 broadcast 10.0.0.255 10.0.0.1 10.0.0.1/24 10.0.0.2/32 2001:db8::1 2001:db8::1/64 fe80::1%carp1
syncdev syncif -syncdev syncpeer 10.0.0.3 -syncpeer maxupd 128 defer -defer version 1301 destroy pfsync0 -g carpdemote -a passfile lan.pass`)

// FuzzIfconfig reads whatever may stand on the command line of ifconfig(8).
func FuzzIfconfig(f *testing.F) {
	for _, args := range []string{
		"", "-a\ninet6", "carp", "-g\ninternal\n-carpdemote\n50", "carp1\ncreate\nvhid\n1\npass\ntwo words\n10.0.0.1\nnetmask\n255.255.255.0",
		"pfsync0\nsyncdev\nem1\n-defer", "carp1\ninet6\nalias\n2001:db8::1\nprefixlen\n64\ndown", "em0\n10.0.0.1/31\nmtu\n9000", "carp1\ndestroy",
	} {
		f.Add(args, []byte(nil))
	}
	f.Add("carp1", []byte{2, 3, 18, 25, 30, 13})
	f.Fuzz(func(t *testing.T, line string, picks []byte) {
		var args []string
		if line != "" {
			args = strings.Split(line, "\n")
		}
		for _, p := range picks {
			args = append(args, vocabulary[int(p)%len(vocabulary)])
		}
		cmd, err := ifconfig.ParseCommand(args)
		if err != nil {
			checkErrors(t, err)
			return
		}
		if (cmd.Action == ifconfig.Configure) != (len(cmd.Changes) > 0) || cmd.Demote < -128 || cmd.Demote > 128 ||
			cmd.Demote != 0 && cmd.Action != ifconfig.Demote {
			t.Fatalf("%q: %+v", args, cmd)
		}
		for _, c := range cmd.Changes {
			if c.Pos.File != "ifconfig "+cmd.Name || c.Pos.Line != 0 || c.Pos.Word < 2 || c.Pos.Word > len(args) {
				t.Fatalf("%v is at %+v", c, c.Pos)
			}
			checkChange(t, cmd.Name, c)
		}
		checkConfig(t, cmd.Name, cmd.Changes)
	})
}

// FuzzSysctl reads whatever may stand in a sysctl.conf(5) file.
func FuzzSysctl(f *testing.F) {
	f.Add("# x\nnet.inet.carp.preempt=1 # y\r\nnet.inet.carp.demotion = -240\nnet.inet.ip.forwarding=1\nnet.pfsync\n")
	f.Fuzz(func(t *testing.T, data string) {
		all, _, err := ifconfig.ParseSysctlConf("sysctl.conf", data)
		if err != nil {
			checkErrors(t, err)
			return
		}
		for _, s := range all {
			again, err := ifconfig.ParseSysctl([]string{"-w", s.String()})
			if err != nil || len(again) != 1 || !s.Set || again[0].Name != s.Name || again[0].Value != s.Value {
				t.Fatalf("%v, again: %v, %v", s, again, err)
			}
		}
	})
}

// checkErrors wants an error that says where, and what was expected, for each line.
func checkErrors(t *testing.T, err error) {
	t.Helper()
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		var e *ifconfig.Error
		if !errors.As(err, &e) || e.Pos.File == "" || e.Msg == "" || strings.Contains(e.Error(), "\n") {
			t.Fatalf("not a good error: %q", err)
		}
	}
}

// checkChange wants c to be the same when its words are read again, as those of
// a command and as a line of a file.
func checkChange(t *testing.T, ifname string, c ifconfig.Change) {
	t.Helper()
	same := func(how string, changes []ifconfig.Change, err error) {
		if err != nil || len(changes) != 1 {
			t.Fatalf("%v, %s: %v, %v", c, how, changes, err)
		}
		again, c := changes[0], c
		again.Pos, again.Address.Pos, c.Pos, c.Address.Pos = ifconfig.Pos{}, ifconfig.Pos{}, ifconfig.Pos{}, ifconfig.Pos{}
		if !reflect.DeepEqual(again, c) || string(again.Pass) != string(c.Pass) {
			t.Fatalf("%v, %s: %v", c, how, again)
		}
	}
	if c.Op != ifconfig.Shell && c.Op != ifconfig.Dest {
		cmd, err := ifconfig.ParseCommand(append([]string{ifname}, c.Words()...))
		same("in a command", cmd.Changes, err)
	}
	if c.Op != ifconfig.Pass && ifname != "" {
		changes, err := ifconfig.ParseHostname(ifname, c.String())
		same("in a file", changes, err)
	}
}

// checkConfig applies changes, to nothing and once more.
func checkConfig(t *testing.T, ifname string, changes []ifconfig.Change) {
	t.Helper()
	var none ifconfig.Config
	c, err := none.With(ifname, changes)
	if err != nil {
		checkErrors(t, err)
		return
	}
	if len(none.Carp) > 0 || none.Pfsync != nil || ifconfig.KindOf(ifname) == ifconfig.KindOther {
		t.Fatalf("%s: %v became %v", ifname, none, c)
	}
	if err := c.Validate(); err != nil {
		checkErrors(t, err)
	}
	if again, err := none.With(ifname, changes); err != nil || ifconfig.Diff(c, again) != nil || ifconfig.Diff(again, c) != nil {
		t.Fatalf("the same twice differs by %v, %v", ifconfig.Diff(c, again), err)
	}
	if d := ifconfig.Diff(none, c); (len(d) == 1) != (len(c.Carp) == 1 || c.Pfsync != nil) {
		t.Fatalf("%v, made of nothing, by %v", c, d)
	}
	for _, i := range c.Carp {
		seen := make(map[netip.Addr]bool)
		for _, a := range i.Addresses {
			cmd, err := ifconfig.ParseCommand(append([]string{ifname}, strings.Fields(a.String())...))
			if err != nil || cmd.Changes[0].Address.Prefix != a.Prefix || cmd.Changes[0].Address.Broadcast != a.Broadcast || seen[a.Prefix.Addr()] {
				t.Fatalf("%v, again: %v, %v", a, cmd.Changes, err)
			}
			seen[a.Prefix.Addr()] = true
		}
		if s := (ifconfig.CarpStatus{CarpInterface: i}).String(); !strings.HasPrefix(s, ifname+": flags=") {
			t.Fatal(s)
		}
	}
	if c.Pfsync != nil {
		if s := (ifconfig.PfsyncStatus{PfsyncInterface: *c.Pfsync}).String(); !strings.HasPrefix(s, "pfsync0: flags=") {
			t.Fatal(s)
		}
	}
}
