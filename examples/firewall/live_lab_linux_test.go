package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/rtnl"
)

// patience is how long a test waits for what must happen, on a machine that has
// other things to do. Nothing here is fast because this is short.
const patience = 45 * time.Second

// A pair is the picture of the PF FAQ: two firewalls with a LAN (em0), a WAN (em2)
// and a cable between them (em1), a client on the LAN and a server on the WAN.
type pair struct {
	t    *testing.T
	lab  *netns.Lab
	dirs map[string]string     // configuration
	rtnl map[string]*rtnl.Conn // of each firewall
	env  []string              // of the firewalls that are started, beside ours
	by   []string              // a program that starts them, with its words; none: the test itself
}

// The addresses that are shared.
const (
	lanAddr = "172.16.0.100"
	wanAddr = "192.0.2.100"
)

// newPair makes the hosts with their own addresses, and no firewall on them.
func newPair(t *testing.T) *pair {
	t.Helper()
	netns.Require(t, "ip", "nft")
	p := &pair{t: t, lab: netns.New(t, "fw1", "fw2", "client", "server"), dirs: make(map[string]string), rtnl: make(map[string]*rtnl.Conn)}
	p.lab.Bridge("em0", "fw1", "fw2", "client")
	p.lab.Bridge("em2", "fw1", "fw2", "server")
	p.lab.NS("fw1").Veth("em1", p.lab.NS("fw2"), "em1")
	p.lab.NS("client").Addr("em0", "172.16.0.9/24")
	p.lab.NS("server").Addr("em2", "192.0.2.9/24")
	for host, last := range map[string]string{"fw1": "1", "fw2": "2"} {
		ns := p.lab.NS(host)
		ns.Addr("em0", "172.16.0."+last+"/24")
		ns.Addr("em2", "192.0.2."+last+"/24")
		ns.Addr("em1", "10.10.10."+last+"/24")
		ns.SetSysctl("net.ipv4.ip_forward", "1")
		var c *rtnl.Conn
		var err error
		ns.Do(func() { c, err = rtnl.Dial() })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		p.rtnl[host] = c
		p.dirs[host] = t.TempDir()
	}
	return p
}

// faqFiles are the files of the FAQ, with what fw2 has in addition, and that for the
// WAN, which it leaves to the reader.
func faqFiles(t *testing.T, more string) map[string]string {
	t.Helper()
	return map[string]string{
		"hostname.carp1":   faqFile(t, "hostname.carp1") + more,
		"hostname.carp2":   "inet 192.0.2.100 255.255.255.0 192.0.2.255 vhid 2 carpdev em2 \\\n\tpass netpasswd\n" + more,
		"hostname.pfsync0": faqFile(t, "hostname.pfsync0"),
		"sysctl.conf":      faqFile(t, "sysctl.conf"),
	}
}

// faq starts both with the files of the FAQ, and waits until fw1 is master of both.
func (p *pair) faq() (_ *pair, fw1, fw2 *daemon) {
	p.t.Helper()
	p.write("fw1", faqFiles(p.t, ""))
	p.write("fw2", faqFiles(p.t, "advskew 128\n"))
	fw1, fw2 = p.start("fw1"), p.start("fw2")
	p.settled("fw1")
	return p, fw1, fw2
}

// settled waits until a firewall is master of both, the other one backup, and neither
// is demoted any more.
func (p *pair) settled(master string) {
	p.t.Helper()
	p.await("settled: "+master, func() bool {
		for _, host := range []string{"fw1", "fw2"} {
			s, err := p.status(host)
			want := "BACKUP"
			if host == master {
				want = "MASTER"
			}
			if err != nil || s.Role != want || len(s.Demotions) > 0 {
				return false
			}
		}
		return true
	})
}

// write makes the files of a firewall's directory, and removes those with no text.
func (p *pair) write(host string, files map[string]string) {
	p.t.Helper()
	for name, text := range files {
		path := filepath.Join(p.dirs[host], name)
		mode := os.FileMode(0o600)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if text == "" {
			err = os.Remove(path)
		} else if err == nil {
			err = os.WriteFile(path, []byte(text), mode)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *pair) socket(host string) string { return filepath.Join(p.dirs[host], "s") }

// try has a firewall do what is typed. The client is this process: its own would take
// longer to start than all it does.
func (p *pair) try(host, line string) (code int, stdout, stderr string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, errs strings.Builder
	code = run(ctx, append([]string{"-s", p.socket(host)}, strings.Fields(line)...), &out, &errs)
	return code, out.String(), errs.String()
}

// do is try for what must succeed.
func (p *pair) do(host, line string) string {
	p.t.Helper()
	code, stdout, stderr := p.try(host, line)
	if code != 0 || stderr != "" {
		p.t.Fatalf("%s# %s: exit %d\n%s%s", host, line, code, stdout, stderr)
	}
	return stdout
}

// exec runs the program on a host to its end.
func (p *pair) exec(host string, attr *syscall.SysProcAttr, args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, &errs, attr
	var err error
	p.lab.NS(host).Do(func() { err = cmd.Start() })
	if err == nil {
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// A seen is what the tests look at of a status.
type seen struct {
	Role, Maintenance string
	Demotions         []demotionStatus
	Pfsync            *pfsyncStatus
	Interfaces        []struct {
		Name, State, Reason string
		Since               time.Time
	}
}

// status is what a firewall says it is doing.
func (p *pair) status(host string) (seen, error) {
	p.t.Helper()
	_, stdout, stderr := p.try(host, "status -json")
	var r struct{ Nodes []seen }
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || len(r.Nodes) == 0 {
		return seen{}, fmt.Errorf("%v: %s", err, stderr)
	}
	return r.Nodes[0], nil
}

// holders are the firewalls that have an address on one of their interfaces.
func (p *pair) holders(addr string) []string {
	p.t.Helper()
	want := netip.MustParseAddr(addr)
	var out []string
	for _, h := range []string{"fw1", "fw2"} {
		have, err := p.rtnl[h].Addrs(0)
		if err != nil {
			p.t.Fatalf("%s: %v", h, err)
		}
		if slices.ContainsFunc(have, func(a rtnl.Addr) bool { return a.Prefix.Addr() == want }) {
			out = append(out, h)
		}
	}
	return out
}

// awaitHolders waits until an address is on these firewalls and on no other.
func (p *pair) awaitHolders(what, addr string, want ...string) {
	p.t.Helper()
	p.await(what+": "+addr+" on "+strings.Join(want, " "), func() bool { return slices.Equal(p.holders(addr), want) })
}

// awaitRole waits until a firewall is what it should be in all that it shares.
func (p *pair) awaitRole(what, host, want string) {
	p.t.Helper()
	p.await(what+": "+host+" is "+want, func() bool {
		s, err := p.status(host)
		return err == nil && s.Role == want
	})
}

// await waits until ok.
func (p *pair) await(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			for _, host := range []string{"fw1", "fw2"} {
				if _, out, _ := p.try(host, "status"); out != "" {
					_, why, _ := p.try(host, "why 30")
					p.t.Logf("%s:\n%s%s", host, out, why)
				}
			}
			p.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// setup is all that a firewall could change in a host.
func (p *pair) setup(host string) string {
	p.t.Helper()
	ns := p.lab.NS(host)
	var s strings.Builder
	s.WriteString(ns.IP("-o link") + ns.IP("-o addr") + ns.IP("route"))
	for _, key := range []string{"arp_ignore", "arp_announce", "rp_filter"} {
		for _, scope := range []string{"all", "default", "em0", "em1", "em2"} {
			s.WriteString(key + " " + scope + " " + ns.Sysctl("net.ipv4.conf."+scope+"."+key) + "\n")
		}
	}
	return s.String()
}

// A daemon is a firewall that runs.
type daemon struct {
	p    *pair
	host string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu  sync.Mutex
	log bytes.Buffer
}

// Write takes in what it says.
func (d *daemon) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(b)
}

func (d *daemon) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// start runs a firewall and waits until it answers.
func (p *pair) start(host string, args ...string) *daemon {
	p.t.Helper()
	d := &daemon{p: p, host: host, done: make(chan struct{})}
	words := slices.Concat(p.by, []string{program, "run", "-C", p.dirs[host], "-s", p.socket(host)}, args)
	d.cmd = exec.Command(words[0], words[1:]...)
	d.cmd.Stderr = d
	d.cmd.Env = append(os.Environ(), p.env...)
	var err error
	p.lab.NS(host).Do(func() { err = d.cmd.Start() })
	if err != nil {
		p.t.Fatal(err)
	}
	go func() { d.cmd.Wait(); close(d.done) }()
	p.t.Cleanup(func() {
		d.cmd.Process.Kill()
		<-d.done
		if p.t.Failed() {
			p.t.Logf("%s said:\n%s", host, d.said())
		}
		if strings.Contains(d.said(), "passwd") || strings.Contains(d.said(), "DATA RACE") {
			p.t.Errorf("%s: a passphrase or a race is in the log:\n%s", host, d.said())
		}
	})
	p.await(host+" answers", func() bool {
		code, _, _ := p.try(host, "why")
		return code == 0
	})
	return d
}

// stop ends it as an operator does.
func (d *daemon) stop() {
	d.p.t.Helper()
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(patience):
		d.p.t.Fatalf("%s does not end", d.host)
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		d.p.t.Errorf("%s: exit %d\n%s", d.host, code, d.said())
	}
}

// kill ends it as nobody should.
func (d *daemon) kill() {
	d.cmd.Process.Kill()
	<-d.done
}
