package ifconfig

import (
	"cmp"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/carp"
	gocmp "github.com/google/go-cmp/cmp"
)

var states = map[string]carp.State{"INIT": carp.Init, "BACKUP": carp.Backup, "MASTER": carp.Master}

// The status of what OpenBSD was asked for is what OpenBSD prints.
func TestStatusOpenBSD(t *testing.T) {
	data, err := os.ReadFile("testdata/openbsd.txt")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(data), "\n\n")[1:]
	if len(blocks) != 11 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for _, block := range blocks {
		head, want, _ := strings.Cut(block, "\n")
		fields := strings.SplitN(head, " ", 4)
		index, _ := strconv.Atoi(fields[2])
		ifname, _, _ := strings.Cut(want, ":")
		c := config(t, map[string]string{ifname: strings.ReplaceAll(fields[3], ";", "\n")})
		have := ""
		if i, ok := c.Find(ifname); ok {
			mac := cmp.Or(i.LLAddr, carp.OpenBSD.VirtualMAC(i.VHID))
			have = CarpStatus{CarpInterface: i, State: states[fields[1]], MAC: mac, Index: index}.String()
		} else {
			have = PfsyncStatus{PfsyncInterface: *c.Pfsync, Index: index}.String()
		}
		if diff := gocmp.Diff(strings.TrimSpace(want), strings.TrimSpace(have)); diff != "" {
			t.Errorf("%s\n%s", head, diff)
		}
	}
}

// The output the FAQ shows: that of OpenBSD 4.3, which had fewer lines.
func TestStatusFAQ(t *testing.T) {
	c := config(t, map[string]string{
		"carp1": "vhid 1 pass mekmitasdigoat carpdev em0 advskew 100 10.0.0.1 netmask 255.255.255.0\ngroup internal\n",
	})
	have := CarpStatus{CarpInterface: c.Carp[0], State: carp.Master}.String()
	want := `carp1: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500
	carp: MASTER carpdev em0 vhid 1 advbase 1 advskew 100
	groups: carp internal
	status: master
	inet 10.0.0.1 netmask 0xffffff00 broadcast 10.0.0.255
`
	if diff := gocmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	if have, want := GroupStatus("internal", 50), "internal: carp demote count 50\n"; have != want {
		t.Errorf("%q, want %q", have, want)
	}
}

// What is not configured is not shown, and what is, is.
func TestStatusParts(t *testing.T) {
	c := config(t, map[string]string{"carp1": "descr 'the LAN' mtu 1400\n-group carp", "carp2": "vhid 2", "pfsync0": "up -group carp -group pfsync"})
	for have, want := range map[string]string{
		CarpStatus{CarpInterface: c.Carp[0]}.String(): "carp1: flags=8802<BROADCAST,SIMPLEX,MULTICAST> mtu 1400\n" +
			"\tdescription: the LAN\n\tstatus: invalid\n",
		CarpStatus{CarpInterface: c.Carp[1]}.String(): "carp2: flags=8802<BROADCAST,SIMPLEX,MULTICAST> mtu 1500\n" +
			"\tcarp: INIT carpdev none vhid 2 advbase 1 advskew 0\n\tgroups: carp\n\tstatus: invalid\n",
		PfsyncStatus{PfsyncInterface: *c.Pfsync}.String(): "pfsync0: flags=1<UP> mtu 1500\n",
		PfsyncStatus{PfsyncInterface: *config(t, map[string]string{"pfsync0": "syncdev em1 version 1301"}).Pfsync}.String(): "pfsync0: flags=0<> mtu 1500\n" +
			"\tencap: parent em1\n\tpfsync: syncdev: em1 maxupd: 128 defer: off version: 1301\n\tgroups: carp pfsync\n",
	} {
		if diff := gocmp.Diff(want, have); diff != "" {
			t.Error(diff)
		}
	}
}

// The words that ifconfig prints it also takes: typing them in again changes
// nothing.
func TestStatusParses(t *testing.T) {
	c := config(t, map[string]string{"carp1": "vhid 7 carpdev em0 advbase 3 advskew 100 carppeer 10.0.0.9 10.0.0.1/24\n" +
		"alias 10.0.0.2/32\nalias 10.0.0.3/25 broadcast 10.0.0.9\ninet6 2001:db8::1/48\n"})
	again := config(t, map[string]string{"carp1": ""})
	for line := range strings.Lines(CarpStatus{CarpInterface: c.Carp[0]}.String()) {
		args := strings.Fields(line)
		switch args[0] {
		case "carp:":
			args = args[2:]
		case "inet", "inet6":
			args = append(args, "alias")
		default:
			continue
		}
		cmd, err := ParseCommand(append([]string{"carp1"}, args...))
		if err != nil {
			t.Fatal(err)
		}
		if again, err = again.With("carp1", cmd.Changes); err != nil {
			t.Fatal(err)
		}
	}
	if d := Diff(c, again); d != nil {
		t.Errorf("differs by %v", d)
	}
}
