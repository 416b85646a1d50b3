//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var cableLAN = cutCable("cable-lan", lan)
var cableWAN = cutCable("cable-wan", wan)

// cutCable is the loss of one cable of the master: everything has to move.
func cutCable(name, segment string) *scenario {
	return &scenario{
		name: name, title: "the " + strings.ToUpper(segment) + " cable of the master is pulled, and plugged in again",
		want: want{lost: detection, sessions: true},
		able: sidesTied,
		steps: func(p *play) {
			p.phase()
			p.cable(p.fw1, segment, false)
			p.takenOver(p.fw2)
			p.recovered()
			p.pause(500 * time.Millisecond)
			p.cable(p.fw1, segment, true)
			p.settled(p.fw1)
		},
	}
}

// sidesTied: without a tie the side whose cable is pulled moves alone, and nothing gets
// through until the cable is back.
func sidesTied(p *pair) error {
	if !p.tied {
		return errors.New("it has a process for each side, and nothing moves the other side too")
	}
	return nil
}

var cableSync = &scenario{
	name: "cable-sync", title: "the cable between the firewalls is pulled, and plugged in again",
	want: want{lost: nothing, sessions: true},
	steps: func(p *play) {
		p.cable(p.fw1, link, false)
		p.pause(2 * time.Second)
		p.cable(p.fw1, link, true)
		p.settled(p.fw1)
	},
}

// oneWay leaves two masters on the LAN, which CARP cannot help: nothing is wanted.
var oneWay = &scenario{
	name: "one-way", title: "what the master sends on the LAN is lost for 5 s, and what it receives is not",
	steps: func(p *play) {
		port := p.Port(lan, p.fw1.Name)
		p.do(p.fw1, "LAN sends no more", func() error {
			return p.rule("netdev", "hook ingress device "+port+" priority 0", "drop")
		})
		p.pause(5 * time.Second)
		p.do(p.fw1, "LAN sends again", func() error { return p.unrule("netdev") })
		p.settled(p.fw1)
	},
}

// split leaves two masters, and connections may go by either: nothing is wanted.
var split = &scenario{
	name: "split", title: "the firewalls do not hear each other for 5 s, everybody else hears both",
	steps: func(p *play) {
		p.do(nil, "split", func() error {
			return p.rule("bridge", "hook forward priority 0", fmt.Sprintf("iifname { %[1]s } oifname { %[1]s } drop", p.ports()))
		})
		p.pause(5 * time.Second)
		p.do(nil, "heal", func() error { return p.unrule("bridge") })
		p.settled(p.fw1)
	},
}

// ports are those of the firewalls, for a rule.
func (p *play) ports() string {
	var all []string
	for _, n := range p.nodes() {
		for _, s := range segments {
			all = append(all, p.Port(s, n.Name))
		}
	}
	return strings.Join(all, ", ")
}

// rule makes the switches drop frames, and unrule ends it.
func (p *play) rule(family, chain, rule string) error {
	sw, err := p.Switch()
	if err != nil {
		return err
	}
	file := filepath.Join(p.dir, "switch.rules")
	text := fmt.Sprintf("table %s lab {\n\tchain faults {\n\t\ttype filter %s; policy accept;\n\t\t%s\n\t}\n}\n", family, chain, rule)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	_, err = sw.Run("nft", "-f", file)
	return err
}

func (p *play) unrule(family string) error {
	sw, err := p.Switch()
	if err != nil {
		return err
	}
	_, err = sw.Run("nft", "delete", "table", family, "lab")
	return err
}

var flapping = &scenario{
	name: "flapping", title: "the LAN cable of the master has a loose contact, five times in 4 s",
	want: want{sessions: true},
	steps: func(p *play) {
		for range 5 {
			p.cable(p.fw1, lan, false)
			p.pause(300 * time.Millisecond)
			p.cable(p.fw1, lan, true)
			p.pause(500 * time.Millisecond)
		}
		p.settled(p.fw1)
	},
}

// freeze has everything on a firewall but its kernel stand still, or go on.
func (p *play) freeze(n *node, on bool) {
	if on {
		p.do(n, "SIGSTOP", func() error { return n.signal(syscall.SIGSTOP) })
		p.begin(n, stateFrozen)
		return
	}
	p.end(n)
	p.do(n, "SIGCONT", func() error { return n.signal(syscall.SIGCONT) })
}
