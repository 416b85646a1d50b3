package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/internal/ifconfig"
)

// A checkSettings is a table [check.NAME] of firewall.toml: what this host needs to
// do its work, and how much it gives way while that is broken.
type checkSettings struct {
	name  string
	kind  string   // what is looked at: one of checkKinds
	words []string // at what; one, but for a command

	interval   time.Duration // from one look to the next
	timeout    time.Duration // for one look; 0: interval
	rise, fall int           // results in a row that take the demotion back, or put it on
	demote     int

	// Where the demotion counts: in a group, or in all groups of a carp interface
	// as if it had happened to that one. Both empty: in group carp.
	group, iface string

	pos ifconfig.Pos // of its first line
}

// What a check is unless it says otherwise.
const (
	checkInterval = time.Second
	checkResults  = 3   // for rise and for fall
	checkDemote   = 240 // FreeBSD's habit
)

var checkKinds = []string{"command", "file", "ping", "tcp", "link"}

const checkKeys = "expected one of check.NAME.command, file, ping, tcp, link, interval, timeout, rise, fall, demote, group, interface"

// setCheck takes a value of the table of a check, or says what was expected.
func (s *settings) setCheck(v tomlValue) (expected string) {
	name, key, ok := strings.Cut(strings.TrimPrefix(v.key, "check."), ".")
	if !ok || strings.Contains(key, ".") {
		return checkKeys
	}
	n := slices.IndexFunc(s.checks, func(c checkSettings) bool { return c.name == name })
	if n < 0 {
		n = len(s.checks)
		s.checks = append(s.checks, checkSettings{
			name: name, interval: checkInterval, rise: checkResults, fall: checkResults, demote: checkDemote, pos: v.pos,
		})
	}
	return s.checks[n].set(key, v.v)
}

func (c *checkSettings) set(key string, v any) (expected string) {
	text, _ := v.(string)
	if slices.Contains(checkKinds, key) {
		if c.kind != "" {
			return "expected only one of " + strings.Join(checkKinds, ", ") + ": there is " + c.kind + " already"
		}
		c.kind, c.words = key, []string{text}
		if key == "command" {
			c.words, _ = v.([]string)
		}
		return c.checkTarget()
	}
	number := func(to *int, low, high int) string {
		n, ok := within(v, int64(low), int64(high))
		if !ok {
			return fmt.Sprintf("expected a number, %d to %d", low, high)
		}
		*to = n
		return ""
	}
	seconds := func(to *time.Duration) string {
		n, ok := within(v, 1, 3600)
		if !ok {
			return "expected seconds, 1 to 3600"
		}
		*to = time.Duration(n) * time.Second
		return ""
	}
	switch key {
	case "interval":
		return seconds(&c.interval)
	case "timeout":
		return seconds(&c.timeout)
	case "rise":
		return number(&c.rise, 1, 1000)
	case "fall":
		return number(&c.fall, 1, 1000)
	case "demote":
		return number(&c.demote, 1, 255)
	case "group", "interface":
		if c.group+c.iface != "" {
			return "expected group or interface, and not both"
		}
		if key == "interface" {
			if c.iface = text; ifconfig.KindOf(text) != ifconfig.KindCarp {
				return `expected a carp interface, as "carp1"`
			}
			return ""
		}
		if c.group = text; demote.CheckName(text) != nil {
			return "expected the name of a group, of 1 to 15 characters and not ending in a digit"
		}
		return ""
	}
	return checkKeys
}

// checkTarget says what was expected in place of what is to be looked at.
func (c *checkSettings) checkTarget() (expected string) {
	switch c.kind {
	case "command":
		if len(c.words) == 0 || !filepath.IsAbs(c.words[0]) {
			return `expected a program with its path, and its words, as ["/usr/bin/true", "-x"]`
		}
		if _, err := exec.LookPath(c.words[0]); err != nil {
			return "expected a program that can be run: " + err.Error()
		}
	case "file":
		if !filepath.IsAbs(c.words[0]) {
			return `expected a file with its path, as "/run/give-way"`
		}
	case "ping":
		if a, err := netip.ParseAddr(c.words[0]); err != nil || a.IsMulticast() || a.IsUnspecified() {
			return `expected the address of a host, as "192.0.2.1"`
		}
		if _, err := exec.LookPath("ping"); err != nil {
			return "expected the program ping to be installed: " + err.Error()
		}
	case "tcp":
		host, port, err := net.SplitHostPort(c.words[0])
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || host == "" {
			return `expected a host and a port, as "192.0.2.1:53" or "[2001:db8::1]:53"`
		}
	case "link":
		if c.words[0] == "" {
			return `expected the name of an interface, as "em3"`
		}
	}
	return ""
}

// checksFit reports the checks that look at nothing, and those that would demote
// what is not in config.
func (s *settings) checksFit(config ifconfig.Config) error {
	groups := []string{demote.Carp}
	for _, i := range config.Carp {
		groups = append(groups, i.Groups...)
	}
	var errs []error
	for _, c := range s.checks {
		bad := func(key, msg string) {
			errs = append(errs, &ifconfig.Error{Pos: c.pos, Word: "check." + c.name + key, Msg: msg})
		}
		if c.kind == "" {
			bad("", "expected something to look at: one of "+strings.Join(checkKinds, ", "))
		}
		if _, ok := config.Find(c.iface); c.iface != "" && !ok {
			bad(".interface", "there is no "+c.iface)
		}
		if c.group != "" && !slices.Contains(groups, c.group) {
			bad(".group", "no carp interface is in group "+c.group)
		}
	}
	return errors.Join(errs...)
}

// String is what the check looks at. The words of a command are not shown: there may
// be a secret among them.
func (c *checkSettings) String() string { return c.kind + " " + c.words[0] }

// where is what the check demotes.
func (c *checkSettings) where() string {
	if c.iface != "" {
		return c.iface
	}
	return "group " + cmp.Or(c.group, demote.Carp)
}

// same reports whether c and o ask for the same, wherever they stand.
func (c checkSettings) same(o checkSettings) bool {
	c.pos, o.pos = ifconfig.Pos{}, ifconfig.Pos{}
	return reflect.DeepEqual(c, o)
}
