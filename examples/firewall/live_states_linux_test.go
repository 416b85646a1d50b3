package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/cli"
	"github.com/gocarp/gocarp/internal/netns"
)

// natRules translate what the client sends to the shared address of the WAN, and let
// nothing pass in mid-stream that is not known.
const natRules = `
table inet filter {
	chain forward { type filter hook forward priority 0; policy drop;
		ct state established,related accept
		ct state new iifname em0 accept; }
}
table ip nat {
	chain post { type nat hook postrouting priority 100;
		oifname em2 ip saddr 172.16.0.0/24 snat to ` + wanAddr + `; }
}
table ip6 nat {
	chain post { type nat hook postrouting priority 100; }
}`

// nat gives both firewalls the rules.
func (p *pair) nat() {
	p.t.Helper()
	for _, host := range []string{"fw1", "fw2"} {
		ns := p.lab.NS(host)
		// With it a session could be taken for a new one, and nothing be proved.
		ns.SetSysctl("net.netfilter.nf_conntrack_tcp_loose", "0")
		ns.Run("nft", natRules)
	}
	p.lab.NS("client").IP("route add default via %s", lanAddr)
}

// A session is a TCP connection from the client to the server.
type session struct {
	t         *testing.T
	near, far net.Conn
}

func (p *pair) dial() *session {
	p.t.Helper()
	var ln net.Listener
	var err error
	p.lab.NS("server").Do(func() { ln, err = net.Listen("tcp", "192.0.2.9:7") })
	if err != nil {
		p.t.Fatal(err)
	}
	defer ln.Close()
	s := &session{t: p.t}
	p.lab.NS("client").Do(func() { s.near, err = net.DialTimeout("tcp", "192.0.2.9:7", patience) })
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { s.near.Close() })
	if s.far, err = ln.Accept(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { s.far.Close() })
	if host, _, _ := net.SplitHostPort(s.far.RemoteAddr().String()); host != wanAddr {
		p.t.Fatalf("the server sees %s: not translated", host)
	}
	s.talk("at the beginning")
	return s
}

// talk sends a line forth and back.
func (s *session) talk(when string) {
	s.t.Helper()
	for _, way := range [][2]net.Conn{{s.near, s.far}, {s.far, s.near}} {
		way[1].SetReadDeadline(time.Now().Add(patience))
		if _, err := fmt.Fprintln(way[0], when); err != nil {
			s.t.Fatalf("%s: %v", when, err)
		}
		if got, err := bufio.NewReader(way[1]).ReadString('\n'); err != nil || got != when+"\n" {
			s.t.Fatalf("%s: got %q, %v", when, got, err)
		}
	}
}

// states are the lines of pfctl -ss that are about the session.
func (p *pair) states(host string) string {
	p.t.Helper()
	var lines []string
	for line := range strings.Lines(p.do(host, "pfctl -ss")) {
		if strings.Contains(line, "tcp") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// TestSessionSurvives: a connection with a translated source goes on when the other
// firewall takes over, when it gives back, and when it has to take over because the
// first one is gone.
func TestSessionSurvives(t *testing.T) {
	t.Parallel()
	netns.Require(t, "conntrack")
	for _, policy := range []string{statesInject, statesHold} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			p.nat()
			p.write("fw1", faqFiles(t, ""))
			p.write("fw2", faqFiles(t, "advskew 128\n"))
			for _, host := range []string{"fw1", "fw2"} {
				p.write(host, map[string]string{settingsFile: fmt.Sprintf("[states]\npolicy = %q\n", policy)})
			}
			fw1 := p.start("fw1")
			p.start("fw2")
			p.settled("fw1")
			s := p.dial()
			known := func(what string) {
				p.t.Helper()
				p.await(what+": both know the session", func() bool {
					one := p.states("fw1")
					return strings.Count(one, "\n") == 2 && len(one) > 0 && strings.Count(p.states("fw2"), "\n") == 2
				})
			}
			known("before")
			if got := p.states("fw2"); !strings.Contains(got, wanAddr+":") || !strings.Contains(got, "(172.16.0.9:") {
				t.Errorf("the states of fw2 do not show the translation:\n%s", got)
			}

			p.do("fw1", "maintenance on")
			p.awaitHolders("maintenance", wanAddr, "fw2")
			p.awaitHolders("maintenance", lanAddr, "fw2")
			s.talk("with fw2, as planned")

			p.do("fw1", "maintenance off")
			p.settled("fw1")
			p.awaitHolders("back", wanAddr, "fw1")
			s.talk("with fw1, again")

			known("before the crash")
			fw1.kill()
			p.awaitHolders("fw1 is dead", wanAddr, "fw2")
			s.talk("with fw2, since fw1 is dead")

			p.start("fw1")
			p.settled("fw1")
			p.awaitHolders("fw1 is back", wanAddr, "fw1")
			s.talk("with fw1, after its death")
			known("at the end")
		})
	}
}

// TestDoctorOfStates: rules with which connections die are named, at the start and on
// demand.
func TestDoctorOfStates(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.write("fw1", faqFiles(t, ""))
	fw1 := p.start("fw1")
	p.await("no rules: named at the start", func() bool { return strings.Contains(fw1.said(), "no rule tracks IPv4 connections") })
	for _, rules := range []struct {
		rules, want string
		bad         bool
	}{
		{"table inet t { chain c { type filter hook forward priority 0; ct state new accept; }; }", "no NAT chain for IPv4", false},
		{"table ip n { chain c { type nat hook postrouting priority 100; oifname em2 masquerade; }; }", "masquerade uses the host's own address", true},
	} {
		p.lab.NS("fw1").Run("nft", rules.rules)
		code, out, _ := p.try("fw1", "doctor")
		if (code == cli.Failure) != rules.bad || !strings.Contains(out, rules.want) {
			t.Errorf("doctor does not say %q:\n%s", rules.want, out)
		}
	}
	if code, _, stderr := firewall(t, "run", "-C", files(t, map[string]string{settingsFile: "[states]\npolicy = \"maybe\"\n"}), "-n"); code != cli.Usage || !strings.Contains(stderr, `expected "inject", "hold" or "memory"`) {
		t.Errorf("a wrong policy: exit %d, %s", code, stderr)
	}
}
