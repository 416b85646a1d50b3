package ifconfig

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Sysctl is a name of sysctl(8), to show or to set.
type Sysctl struct {
	Pos   Pos
	Name  string
	Set   bool
	Value int // if Set; what net.inet.carp.demotion is to be changed by
}

// String is s as sysctl.conf(5) has it, and as sysctl(8) prints it.
func (s Sysctl) String() string {
	if !s.Set {
		return s.Name
	}
	return s.Name + "=" + strconv.Itoa(s.Value)
}

// SysctlChanged is what sysctl(8) prints after it has set name.
func SysctlChanged(name string, from, to int) string {
	return fmt.Sprintf("%s: %d -> %d", name, from, to)
}

// sysctls are the names that are understood and the values they take. The first
// three are OpenBSD's, and FreeBSD's under the same name. arpbalance was OpenBSD's
// until 2008 and is NetBSD's. The rest is FreeBSD's; defer_delay is in
// milliseconds.
var sysctls = []struct {
	name      string
	low, high int
}{
	{"net.inet.carp.allow", 0, 1},
	{"net.inet.carp.preempt", 0, 1},
	{"net.inet.carp.log", 0, 7},
	{"net.inet.carp.arpbalance", 0, 1},
	{"net.inet.carp.demotion", math.MinInt32, math.MaxInt32},
	{"net.inet.carp.senderr_demotion_factor", 0, math.MaxInt32},
	{"net.inet.carp.ifdown_demotion_factor", 0, math.MaxInt32},
	{"net.pfsync.carp_demotion_factor", 0, math.MaxInt32},
	{"net.pfsync.defer_delay", 0, math.MaxInt32},
}

// ParseSysctl reads the words that follow sysctl on its command line: names to
// show, and NAME=VALUE to set, with or without -w. What stands for several names,
// as net.inet.carp does, shows them all. The error is an [*Error].
func ParseSysctl(args []string) ([]Sysctl, error) {
	var all []Sysctl
	for _, t := range tokenize("sysctl", args) {
		if t.text == "-w" && t.pos.Word == 1 {
			continue
		}
		name, value, set := strings.Cut(t.text, "=")
		found, err := lookupSysctl(t, name, value, set)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		return nil, &Error{Pos{File: "sysctl"}, "", "expected a name, or name=value"}
	}
	return all, nil
}

// ParseSysctlConf reads data, the content of a sysctl.conf(5) file. Names of
// other parts of the system, which such files are full of, are returned apart:
// they are not set by us, but an operator should be told. The error joins an
// [*Error] for each line that has one.
func ParseSysctlConf(file, data string) (ours []Sysctl, foreign []string, err error) {
	var errs []error
	n := 0
	for ln := range strings.Lines(data) {
		n++
		ln, _, _ = strings.Cut(ln, "#")
		if ln = strings.TrimSpace(ln); ln == "" {
			continue
		}
		name, value, set := strings.Cut(ln, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		t := token{name, Pos{File: file, Line: n, Word: 1}}
		switch {
		case !set:
			errs = append(errs, &Error{t.pos, name, "expected name=value"})
		case !isOurs(name):
			foreign = append(foreign, name)
		default:
			s, err := lookupSysctl(t, name, value, true)
			ours, errs = append(ours, s...), append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	return ours, foreign, nil
}

func isOurs(name string) bool {
	for _, s := range sysctls {
		if node := s.name[:strings.LastIndexByte(s.name, '.')+1]; strings.HasPrefix(name+".", node) {
			return true
		}
	}
	return false
}

// lookupSysctl finds the name, or all names below it, and checks the value.
func lookupSysctl(t token, name, value string, set bool) ([]Sysctl, error) {
	var all []Sysctl
	for _, s := range sysctls {
		switch {
		case s.name == name && set:
			n, err := strconv.Atoi(value)
			if err != nil || n < s.low || n > s.high {
				return nil, &Error{t.pos, t.text, fmt.Sprintf("expected a number, %d to %d, and not %q", s.low, s.high, value)}
			}
			return []Sysctl{{Pos: t.pos, Name: name, Set: true, Value: n}}, nil
		case s.name == name || !set && strings.HasPrefix(s.name, name+"."):
			all = append(all, Sysctl{Pos: t.pos, Name: s.name})
		}
	}
	if all == nil {
		var names []string
		for _, s := range sysctls {
			names = append(names, s.name)
		}
		return nil, &Error{t.pos, t.text, "expected one of " + strings.Join(names, " ")}
	}
	return all, nil
}
