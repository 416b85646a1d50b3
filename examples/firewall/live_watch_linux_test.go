package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/pfsyncnet"
)

// https is a TCP connection through the firewall.
func https(id uint64, port uint16) *pfsync.State {
	st := &pfsync.State{
		StateID: pfsync.StateID{ID: id, CreatorID: 0x44319e56}, IfName: pfsync.Name{'a', 'l', 'l'},
		AF: pfsync.AFInet, Proto: 6, Direction: pfsync.In, Timeout: pfsync.TCPEstab, RTableID: [2]int32{-1, -1},
		Rule: math.MaxUint32, Anchor: math.MaxUint32, NATRule: math.MaxUint32,
		Src: pfsync.Peer{State: pfsync.TCPEstablished, MaxWin: 512}, Dst: pfsync.Peer{State: pfsync.TCPEstablished, MaxWin: 512},
		Wire: pfsync.Key{AF: pfsync.AFInet, Proto: 6, Port: [2]uint16{port, 443}, Addr: [2]pfsync.Addr{{172, 16, 0, 9}, {192, 0, 2, 9}}},
	}
	st.Stack = st.Wire
	return st
}

// TestStates: what a peer has in its table comes here, by a bulk update and one by
// one, is shown, and given to others that ask.
func TestStates(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	table, err := pfsync.NewMemory(pfsync.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	insert := func(st *pfsync.State) {
		if err := table.Insert(time.Now(), st, nil); err != nil {
			t.Fatal(err)
		}
	}
	insert(https(1, 50001))
	var conn *pfsyncnet.Conn
	p.lab.NS("fw2").Do(func() { conn, err = pfsyncnet.Listen(pfsyncnet.Config{Interface: "em1"}) })
	if err != nil {
		t.Fatal(err)
	}
	peer, err := pfsync.NewNode(pfsync.NodeConfig{
		Session: pfsync.Config{Flush: 10 * time.Millisecond}, Store: table, Transport: conn, Links: conn.Links(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- peer.Run(ctx) }()
	defer func() { cancel(); <-done }()

	p.write("fw1", map[string]string{"hostname.pfsync0": "up syncdev em1\n"})
	p.start("fw1")
	shown := func(port int) string {
		return fmt.Sprintf("all tcp 192.0.2.9:443 <- 172.16.0.9:%d       ESTABLISHED:ESTABLISHED\n", port)
	}
	p.await("the bulk update", func() bool { return p.do("fw1", "pfctl -ss") == shown(50001) })
	st := https(2, 50002)
	insert(st)
	peer.Inserted(st.StateID)
	p.await("one more", func() bool { return strings.Contains(p.do("fw1", "pfctl -s states"), shown(50002)) })
	if got := p.do("fw1", "pfctl -ss -vv"); !strings.Contains(got, "\n   id: 0000000000000002 creatorid: 44319e56\n") || !strings.Contains(got, "   age 00:00:0") {
		t.Errorf("pfctl -ss -vv:\n%s", got)
	}
	if s, err := p.status("fw1"); err != nil || s.Pfsync == nil || s.Pfsync.States != 2 || !s.Pfsync.Synced {
		t.Errorf("status: %+v, %v", s.Pfsync, err)
	}
	table.Delete(st.StateID)
	peer.Deleted(st.StateID)
	p.await("deleted", func() bool { return p.do("fw1", "pfctl -ss") == shown(50001) })
	if got := p.do("fw1", "netstat -s -p pfsync"); strings.Contains(got, "\t0 packets received (IPv4)\n") {
		t.Errorf("netstat -s -p pfsync:\n%s", got)
	}

	// A change of how to speak keeps the table, and resync asks again.
	p.do("fw1", "ifconfig pfsync0 maxupd 10")
	if got := p.do("fw1", "pfctl -ss"); got != shown(50001) {
		t.Errorf("after a change of maxupd:\n%s", got)
	}
	insert(https(3, 50003)) // of which the peer says nothing
	p.do("fw1", "resync")
	p.await("resync", func() bool { return strings.Contains(p.do("fw1", "pfctl -ss"), shown(50003)) })
}

// TestWatch: "status -watch" says more when something happens.
func TestWatch(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.write("fw1", map[string]string{"hostname.carp1": faqFile(t, "hostname.carp1")})
	p.start("fw1")
	cmd := exec.Command(program, "-s", p.socket("fw1"), "status", "-json", "-watch")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lab.NS("fw1").Start(cmd)
	lines := bufio.NewScanner(out)
	next := func() seen {
		t.Helper()
		var r struct {
			Time  time.Time
			Nodes []seen
		}
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &r) != nil || len(r.Nodes) != 1 || r.Time.IsZero() {
			t.Fatalf("%q, %v", lines.Text(), lines.Err())
		}
		return r.Nodes[0]
	}
	for next().Role != "MASTER" {
	}
	p.do("fw1", "ifconfig carp1 down")
	for next().Interfaces[0].State != "INIT" {
	}
}

// TestServiceManager: what systemd is told, and what Prometheus.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.write("fw1", faqFiles(t, ""))
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	await := func(want string) {
		t.Helper()
		for b := make([]byte, 100); ; {
			manager.SetReadDeadline(time.Now().Add(patience))
			n, err := manager.Read(b)
			if err != nil {
				t.Fatalf("%s: %v", want, err)
			}
			if string(b[:n]) == want {
				return
			}
		}
	}
	p.env = []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=300000"}
	d := p.start("fw1", "-metrics", "127.0.0.1:9112")
	await("READY=1")
	await("WATCHDOG=1")
	await("WATCHDOG=1")
	p.awaitRole("alone", "fw1", "MASTER")

	var c net.Conn
	p.lab.NS("fw1").Do(func() { c, err = net.Dial("tcp", "127.0.0.1:9112") })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /metrics HTTP/1.0\r\n\r\n")
	page, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`carp_state{interface="carp1",vhid="1",carpdev="em0",state="MASTER"} 1`, "# TYPE carp_preempt_total counter",
		`carp_preempt_total{carpdev="em0"} 1`, "pfsync_states 0", "firewall_maintenance 0", "pfsync_badttl_total 0",
	} {
		if !strings.Contains(string(page), want+"\n") {
			t.Errorf("%s is not among\n%s", want, page)
		}
	}

	// A host that stands still does not say that it is well.
	d.cmd.Process.Signal(syscall.SIGSTOP)
	time.Sleep(100 * time.Millisecond)
	for b := make([]byte, 100); err == nil; { // what it said before
		manager.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, err = manager.Read(b)
	}
	d.cmd.Process.Signal(syscall.SIGCONT)
	await("WATCHDOG=1")
	d.cmd.Process.Signal(syscall.SIGTERM)
	await("STOPPING=1")
}

// TestDoctor: what is the matter with a host.
func TestDoctor(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.write("fw1", faqFiles(t, ""))
	p.start("fw1")
	out := p.do("fw1", "doctor")
	for _, want := range []string{"ok    privileges\n", "ok    net.ipv4.ip_forward is 1\n", "ok    carp1\n", "ok    pfsync0\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	p.lab.NS("fw1").SetSysctl("net.ipv4.ip_forward", "0")
	p.lab.Carrier("em0", "fw1", false)
	p.lab.NS("fw1").Run("nft", "add table ip nat; add chain ip nat post { type nat hook postrouting priority srcnat; }; add rule ip nat post oifname em2 masquerade")
	var code int
	var stderr string
	p.await("carp1 is ill", func() bool {
		code, out, stderr = p.try("fw1", "doctor")
		return strings.Contains(out, "bad   carp1: em0 is down or has no carrier\n")
	})
	for _, want := range []string{"bad   net.ipv4.ip_forward is 0: nothing is forwarded\n", `bad   rule "oifname \"em2\" masquerade": masquerade uses the host's own address`} {
		if code != 1 || !strings.Contains(out, want) || !strings.Contains(stderr, "something is bad") {
			t.Errorf("exit %d, %q is not in\n%s%s", code, want, out, stderr)
		}
	}
}
