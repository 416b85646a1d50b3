package main

import "time"

// stateSettings are what [states] in firewall.toml says: what has the connections that
// pfsync keeps the same on all hosts.
type stateSettings struct {
	policy    string        // one of the below; empty: inject
	refresh   time.Duration // 0: the default
	skipShort bool
	local     bool
}

// The policies.
const (
	statesInject = "inject" // the kernel's table; what peers say is put there at once
	statesHold   = "hold"   // the kernel's table; what peers say is put there by a new master
	statesMemory = "memory" // a table in memory; connections do not survive here
)

// set takes a value, or says what was expected.
func (s *stateSettings) set(v tomlValue) (expected string) {
	yes, isBool := v.v.(bool)
	switch v.key {
	case "states.policy":
		text, _ := v.v.(string)
		switch text {
		case statesInject, statesHold, statesMemory:
			s.policy = text
		default:
			return `expected "inject", "hold" or "memory"`
		}
	case "states.refresh":
		n, ok := within(v.v, 1, 15)
		if !ok {
			return "expected seconds, 1 to 15: ICMP lives for 20 at the peers"
		}
		s.refresh = time.Duration(n) * time.Second
	case "states.short":
		if !isBool {
			return "expected true or false: whether UDP is told of before packets went back and forth for a while"
		}
		s.skipShort = !yes
	case "states.local":
		if !isBool {
			return "expected true or false: whether connections of this host itself are told of"
		}
		s.local = yes
	default:
		return "expected one of states.policy, states.refresh, states.short, states.local"
	}
	return ""
}

// kernel reports whether the kernel's table is to be mirrored.
func (s *stateSettings) kernel() bool { return s.policy != statesMemory }

// String is what the plan says of it.
func (s *stateSettings) String() string {
	switch s.policy {
	case statesHold:
		return "put into the kernel by a new master"
	case statesMemory:
		return "kept in memory, and not in the kernel: connections do not survive"
	}
	return "put into the kernel at once"
}
