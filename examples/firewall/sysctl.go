package main

import (
	"github.com/gocarp/gocarp/internal/ifconfig"
)

// sysctls are the values of those sysctls that can be set.
type sysctls struct {
	allow, preempt bool
	log            int // 0 to 7; see logFilter
}

// defaultSysctls are OpenBSD's.
var defaultSysctls = sysctls{allow: true, log: 2}

const sysctlDemotion = "net.inet.carp.demotion"

// set makes the change that c asks for.
func (s *sysctls) set(c ifconfig.Sysctl) error {
	switch c.Name {
	case "net.inet.carp.allow":
		s.allow = c.Value != 0
	case "net.inet.carp.preempt":
		s.preempt = c.Value != 0
	case "net.inet.carp.log":
		s.log = c.Value
	case "net.inet.carp.arpbalance":
		if c.Value != 0 {
			return &ifconfig.Error{Pos: c.Pos, Word: c.Name, Msg: "expected 0: load is not balanced"}
		}
	case sysctlDemotion:
		return &ifconfig.Error{Pos: c.Pos, Word: c.Name, Msg: `expected it on a command line only, where it adds: or "maintenance on -persistent"`}
	default:
		return &ifconfig.Error{Pos: c.Pos, Word: c.Name, Msg: "expected no value: it follows from the dialect in " + settingsFile}
	}
	return nil
}

// get is the value of a sysctl, and whether it is one of these.
func (s sysctls) get(name string) (value int, ok bool) {
	number := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	switch name {
	case "net.inet.carp.allow":
		return number(s.allow), true
	case "net.inet.carp.preempt":
		return number(s.preempt), true
	case "net.inet.carp.log":
		return s.log, true
	case "net.inet.carp.arpbalance":
		return 0, true
	}
	return 0, false
}
