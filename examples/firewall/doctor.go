package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/internal/control"
	"github.com/gocarp/gocarp/internal/hook"
)

// A patient is what the doctor finds out, a line for each thing.
type patient struct {
	w   io.Writer
	ill bool
}

func (p *patient) ok(format string, args ...any)   { fmt.Fprintf(p.w, "ok    "+format+"\n", args...) }
func (p *patient) warn(format string, args ...any) { fmt.Fprintf(p.w, "warn  "+format+"\n", args...) }
func (p *patient) bad(format string, args ...any) {
	p.ill = true
	fmt.Fprintf(p.w, "bad   "+format+"\n", args...)
}

// check is ok if err is nil, else bad.
func (p *patient) check(what string, err error) {
	if err == nil {
		p.ok("%s", what)
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		p.bad("%s: %s", what, line)
	}
}

// cmdDoctor looks at what usually is the matter. It fails if something is bad.
func (h *host) cmdDoctor(ctx context.Context, args []string, w *control.Writer) error {
	if err := noArgs("doctor", args); err != nil {
		return err
	}
	m, err := readMachine()
	if err != nil {
		return err
	}
	p := &patient{w: w}
	n := h.view()
	p.check("privileges", privileges())
	p.sysctl("net.ipv4.ip_forward", "1", "nothing is forwarded")
	if !n.sysctls.preempt {
		p.warn("net.inet.carp.preempt is 0: carp interfaces do not fail over together, nor back")
	}
	for _, i := range n.config.Carp {
		err := errors.Join(h.settings.check(i, m), n.broken[i.Name])
		if l := m.find(i.CarpDev); err == nil && l != nil && !l.running {
			err = fmt.Errorf("%s is down or has no carrier", l.name)
		}
		if err == nil && !runnable(i) {
			err = errors.New("it lacks a vhid, a carpdev or an address")
		}
		p.check(i.Name, err)
	}
	if c := n.config.Pfsync; c == nil {
		p.warn("there is no pfsync0: connections do not survive a failover")
	} else {
		err := errors.Join(h.settings.checkSync(c, m), n.broken[c.Name])
		if l := m.find(c.SyncDev); err == nil && l != nil && !l.running {
			err = fmt.Errorf("%s is down or has no carrier", l.name)
		}
		if err == nil && n.sync == nil {
			err = errors.New("it is down")
		}
		p.check(c.Name, err)
	}
	r, err := h.report(ctx)
	if err != nil {
		return err
	}
	p.peer(r.Peer, r.Time)
	p.wan(h.wanStatus())
	for _, c := range n.checks {
		p.check(c.cause()+", "+c.String(), c.failure())
	}
	_, err = readSetup(h.dir)
	p.check("files in "+h.dir, err)
	if scripts, err := hook.Find(filepath.Join(h.dir, hooksDir)); err == nil {
		p.ok("%d hooks", len(scripts))
	}
	if count, err := h.groups.Count(demote.Carp); err == nil && count > 0 {
		p.warn("group carp is demoted by %d: see status", count)
	}
	p.states(ctx, h.mirror != nil)
	if p.ill {
		return errors.New("something is bad")
	}
	return nil
}

// peer looks at the channel to the other host, and at what both must agree about.
func (p *patient) peer(r peerReport, now time.Time) {
	switch r.State {
	case peerNone:
		p.warn("there is no channel to the other host: see [peer] in %s", settingsFile)
	case peerNew:
		p.warn("peer %v: not asked yet", r.Address)
	case peerUp:
		p.ok("peer %v answered %v ago", r.Address, age(now, r.Answered))
	default:
		p.bad("%s, for %v", r.Error, age(now, r.Since))
	}
	for _, text := range append(r.Conflicts, r.Differences...) {
		p.bad("%s", text)
	}
}

// outside are the carp interfaces that are not in group carp.
func (h *host) outside() []string {
	var names []string
	n := h.view()
	for _, i := range n.config.Carp {
		if m := n.members[i.Name]; m != nil && !slices.Contains(m.Groups(), demote.Carp) {
			names = append(names, i.Name)
		}
	}
	return names
}

// sysctl checks a sysctl of this system.
func (p *patient) sysctl(name, want, otherwise string) {
	b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	have := strings.TrimSpace(string(b))
	switch {
	case err != nil:
		p.warn("%s: %v", name, err)
	case have != want:
		p.bad("%s is %s: %s", name, have, otherwise)
	default:
		p.ok("%s is %s", name, have)
	}
}

// nftTimeout is what listing the rules may take.
const nftTimeout = 5 * time.Second

// states looks for what keeps connections from surviving.
func (p *patient) states(ctx context.Context, mirrored bool) {
	if !mirrored {
		p.warn("states.policy in %s is %q: connections do not survive a failover", settingsFile, statesMemory)
	} else {
		for _, text := range stateWarnings() {
			p.warn("%s", text)
		}
	}
	rules, err := masqueraded(ctx)
	if err != nil {
		p.warn("%v", err)
	}
	for _, rule := range rules {
		p.bad(masqueradeWarning, rule)
	}
}

const masqueradeWarning = "rule %q: masquerade uses the host's own address; want \"snat to\" a shared one"

// masqueraded are the rules that use an address of one host only: the kernel picks
// the interface's own, not the shared one, and connections die with the host.
func masqueraded(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, nftTimeout)
	defer cancel()
	list, err := exec.CommandContext(ctx, "nft", "list", "ruleset").Output()
	if err != nil {
		return nil, fmt.Errorf("the rules of the firewall could not be read: nft: %w", err)
	}
	var rules []string
	for line := range strings.Lines(string(list)) {
		if rule := strings.TrimSpace(line); strings.Contains(rule, "masquerade") {
			rules = append(rules, rule)
		}
	}
	return rules, nil
}
