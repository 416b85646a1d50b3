package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/rtnl"
)

// patience is how long a test waits for what must happen, on a machine that has
// other things to do. Nothing here is fast because this is short.
const patience = time.Minute

// The addresses that are shared, and those of the hosts: see newBench.
const (
	vip4 = "192.0.2.1"
	vip6 = "2001:db8::1"
)

// A bench is a segment called lan with hosts and a client.
type bench struct {
	t      testing.TB
	lab    *netns.Lab
	hosts  []string
	client *netns.NS
	rtnl   map[string]*rtnl.Conn // of each host
}

// newBench makes a bench of the hosts a and b. Host a is 192.0.2.11 and
// 2001:db8::11, b is .12 and ::12, the client .99 and ::99.
func newBench(t testing.TB) *bench {
	t.Helper()
	b := bareBench(t)
	b.lab.NS("a").Addr("lan", "192.0.2.11/24", "2001:db8::11/64")
	b.lab.NS("b").Addr("lan", "192.0.2.12/24", "2001:db8::12/64")
	b.client.Addr("lan", "192.0.2.99/24", "2001:db8::99/64")
	return b
}

// bareBench is a bench without addresses.
func bareBench(t testing.TB) *bench {
	t.Helper()
	lab := netns.New(t, "a", "b", "client")
	lab.Bridge("lan", "a", "b", "client")
	return wrap(t, lab)
}

// wrap makes a bench of a lab that has the hosts a and b and a client.
func wrap(t testing.TB, lab *netns.Lab) *bench {
	t.Helper()
	b := &bench{t: t, lab: lab, hosts: []string{"a", "b"}, client: lab.NS("client"), rtnl: make(map[string]*rtnl.Conn)}
	for _, h := range b.hosts {
		var c *rtnl.Conn
		var err error
		lab.NS(h).Do(func() { c, err = rtnl.Dial() })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		b.rtnl[h] = c
	}
	return b
}

// holders are the hosts that have an address on one of their interfaces.
func (b *bench) holders(addr string) []string {
	b.t.Helper()
	want := netip.MustParseAddr(addr)
	var out []string
	for _, h := range b.hosts {
		have, err := b.rtnl[h].Addrs(0)
		if err != nil {
			b.t.Fatalf("%s: %v", h, err)
		}
		if slices.ContainsFunc(have, func(a rtnl.Addr) bool { return a.Prefix.Addr() == want }) {
			out = append(out, h)
		}
	}
	return out
}

// awaitHolders waits until an address is on these hosts and on no other.
func (b *bench) awaitHolders(what, addr string, want ...string) {
	b.t.Helper()
	b.await(fmt.Sprintf("%s: %s on %q", what, addr, want), func() bool {
		return slices.Equal(b.holders(addr), want)
	})
}

// await waits until ok.
func (b *bench) await(what string, ok func() bool) {
	b.t.Helper()
	await(b.t, what, ok)
}

func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// ping has the client ping the shared addresses until each has answered.
func (b *bench) ping(what string, addrs ...string) {
	b.t.Helper()
	for _, a := range addrs {
		b.await(what+": "+a+" answers", func() bool {
			_, err := b.client.Try("ping", "-c1", "-W1", a)
			return err == nil
		})
	}
}

// neighbour is the hardware address that the client has for an address.
func (b *bench) neighbour(addr string) string {
	b.t.Helper()
	_, rest, _ := strings.Cut(b.client.IP("neigh show %s dev lan", addr), "lladdr ")
	mac, _, _ := strings.Cut(rest, " ")
	return mac
}

// learned is the port of the switch behind which a hardware address is.
func (b *bench) learned(mac string) string {
	b.t.Helper()
	for line := range strings.Lines(b.lab.Switch().Run("bridge", "fdb", "show", "br", "lan")) {
		if words := strings.Fields(line); len(words) > 2 && words[0] == mac {
			return words[2]
		}
	}
	return ""
}

// mac is the hardware address of a host on the segment, as ip(8) prints it.
func (b *bench) mac(host string) string {
	b.t.Helper()
	m := b.lab.NS(host).MAC("lan")
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// A daemon is a program that runs in a host of the bench, and what it has said.
type daemon struct {
	t    testing.TB
	Host string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu      sync.Mutex
	partial []byte
	lines   []logLine
}

// A logLine is a line of a program's standard error.
type logLine struct {
	Text string // as it was
	host string // where it was said

	// Of JSON.
	Time     time.Time         `json:"time"`
	Level    string            `json:"level"`
	Msg      string            `json:"msg"`
	Reason   string            `json:"reason"`
	State    string            `json:"state"`
	Held     bool              `json:"held"`
	Counters map[string]uint64 `json:"counters"`
}

// Write takes in what the program says.
func (d *daemon) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.partial = append(d.partial, b...)
	for {
		line, rest, ok := bytes.Cut(d.partial, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		l := logLine{}
		json.Unmarshal(line, &l) // ucarp has no JSON
		l.Text, l.host = string(line), d.Host
		if l.Time.IsZero() {
			l.Time = time.Now()
		}
		d.lines = append(d.lines, l)
		d.partial = rest
	}
}

// log is what was said from a line on.
func (d *daemon) log(from int) []logLine {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines[min(from, len(d.lines)):])
}

// mark is the place in the log that is next.
func (d *daemon) mark() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.lines)
}

// said returns the first line from a mark on that has a text.
func (d *daemon) said(from int, text string) (logLine, bool) {
	for _, l := range d.log(from) {
		if strings.Contains(l.Text, text) {
			return l, true
		}
	}
	return logLine{}, false
}

// awaitLog waits until the program says something, from a mark on.
func (d *daemon) awaitLog(from int, text string) logLine {
	d.t.Helper()
	var line logLine
	await(d.t, fmt.Sprintf("%s says %q", d.Host, text), func() bool {
		l, ok := d.said(from, text)
		line = l
		return ok
	})
	return line
}

// state is what a carpd has become by its log; empty if nothing yet.
func (d *daemon) state() string {
	state := ""
	for _, l := range d.log(0) {
		if _, to, ok := strings.Cut(l.Msg, " -> "); ok {
			state = to
		}
	}
	return state
}

func (d *daemon) awaitState(what, want string) {
	d.t.Helper()
	await(d.t, fmt.Sprintf("%s: %s is %s", what, d.Host, want), func() bool { return d.state() == want })
}

// start starts a program in a host. It is killed with the test at the latest, and
// what it has said is shown if the test fails.
func (b *bench) start(host, name string, args ...string) *daemon {
	b.t.Helper()
	d := &daemon{t: b.t, Host: host, cmd: exec.Command(name, args...), done: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = d, d
	b.lab.NS(host).Start(d.cmd)
	go func() {
		defer close(d.done)
		d.cmd.Wait()
	}()
	b.t.Cleanup(func() {
		d.kill()
		if b.t.Failed() {
			for _, l := range d.log(0) {
				b.t.Logf("%s %s: %s", d.Host, filepath.Base(name), l.Text)
			}
		}
		if _, raced := d.said(0, "DATA RACE"); raced {
			b.t.Errorf("%s: a data race", d.Host)
		}
		if _, panicked := d.said(0, "panic:"); panicked {
			b.t.Errorf("%s: a panic", d.Host)
		}
	})
	return d
}

// carpd starts the program under test for vhid 7 with a passphrase.
func (b *bench) carpd(host string, args ...string) *daemon {
	b.t.Helper()
	d := b.start(host, program, append([]string{"-i", "lan", "-vhid", "7", "-pass", "secret", "-log", "json"}, args...)...)
	d.awaitLog(0, "taking part")
	return d
}

// pair starts carpd on both hosts, b with advskew 100 when a is master, and waits
// until b has heard of that.
func (b *bench) pair(args ...string) (a, z *daemon) {
	b.t.Helper()
	a = b.carpd("a", args...)
	a.awaitState("start", "MASTER")
	z = b.carpd("b", append(slices.Clone(args), "-advskew", "100")...)
	z.awaitHeard()
	if got := z.state(); got != "BACKUP" {
		b.t.Fatalf("b is %s", got)
	}
	return a, z
}

// A status is what SIGUSR1 makes carpd log.
type status struct {
	logLine
	Heard bool
}

func (d *daemon) status() status {
	d.t.Helper()
	from := d.mark()
	d.signal(sigStatus)
	l := d.awaitLog(from, "carpd: status")
	var heard struct{ Heard string }
	if err := json.Unmarshal([]byte(l.Text), &heard); err != nil {
		d.t.Fatalf("%s: status: %v", d.Host, err)
	}
	return status{l, heard.Heard != "" && heard.Heard != "invalid IP"}
}

// awaitStatus waits for a status that is ok.
func (d *daemon) awaitStatus(what string, ok func(status) bool) {
	d.t.Helper()
	await(d.t, what, func() bool {
		if ok(d.status()) {
			return true
		}
		time.Sleep(200 * time.Millisecond)
		return false
	})
}

// awaitHeard waits until a carpd has heard another one.
func (d *daemon) awaitHeard() {
	d.t.Helper()
	d.awaitStatus(d.Host+" has heard the other", func(s status) bool { return s.Heard })
}

// kill is a crash.
func (d *daemon) kill() {
	d.cmd.Process.Kill()
	<-d.done
}

// stop ends the program as an operator does, and wants it to succeed.
func (d *daemon) stop() {
	d.t.Helper()
	d.signal(sigStop)
	if code := d.wait(); code != 0 {
		d.t.Errorf("%s: exit %d after SIGTERM, want 0", d.Host, code)
	}
}

// wait returns the exit code.
func (d *daemon) wait() int {
	d.t.Helper()
	select {
	case <-d.done:
	case <-time.After(patience):
		d.t.Fatalf("%s: still running after %v", d.Host, patience)
	}
	return d.cmd.ProcessState.ExitCode()
}
