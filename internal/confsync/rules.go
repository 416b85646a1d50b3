package confsync

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gocarp/gocarp/internal/ifconfig"
)

// A Rule is something that each node keeps for itself: a section, a file, or something
// in a file.
type Rule struct {
	Section Section
	File    string // empty: all files of the section
	Item    string // a word of ifconfig, or a key or table; empty: the whole file
	Reason  string // of those that are built in
}

// Builtin are the rules that always hold.
var Builtin = []Rule{
	{Section: Carp, Item: "advskew", Reason: "it says which node is preferred"},
	{Section: Pfsync, Item: "syncpeer", Reason: "the peer of each node is the other one"},
	{Section: Settings, Item: "peer", Reason: "the address and the secret of the channel belong to the node"},
	{Section: Settings, Item: "sync", Reason: "what a node takes from the other one is its own decision"},
}

// ParseRule reads a rule of the settings: "sysctl", "hostname.carp3", "carp:pass",
// "hostname.carp1:advskew", "settings:wan.lladdr", "hooks:90-local", "extra:dnsmasq".
func ParseRule(s string) (Rule, error) {
	where, item, hasItem := strings.Cut(s, ":")
	section, isSection := find(Section(where))
	r := Rule{Section: section, Item: item}
	if !isSection {
		var isFile bool
		if r.Section, isFile = SectionOf(where); !isFile {
			return Rule{}, fmt.Errorf("%q: want a section, %v, or a file, as hostname.carp1", where, Sections)
		}
		r.File = where
	}
	if !hasItem {
		return r, nil
	}
	switch r.Section {
	case Hooks, Extra:
		r.File, r.Item = hooksDir+item, ""
		if r.Section == Extra {
			r.File = extraDir + item
		}
		if got, ok := SectionOf(r.File); !isSection || !ok || got != r.Section {
			return Rule{}, fmt.Errorf("%q: want the name of a file, as hooks:90-local or extra:dnsmasq", s)
		}
	case Carp, Pfsync:
		if ifconfig.Family(item) == nil {
			return Rule{}, fmt.Errorf("%q: want a word of ifconfig that is not about addresses, as carp:advskew", s)
		}
	default:
		if item == "" || strings.ContainsAny(item, " \t\r\n=[]#\"'") {
			return Rule{}, fmt.Errorf("%q: want a key or a table, as settings:wan.lladdr", s)
		}
	}
	return r, nil
}

// String is the rule as ParseRule reads it.
func (r Rule) String() string {
	where := r.File
	switch {
	case where == "":
		where = string(r.Section)
	case r.Section == Hooks:
		return "hooks:" + strings.TrimPrefix(where, hooksDir)
	case r.Section == Extra:
		return "extra:" + strings.TrimPrefix(where, extraDir)
	}
	if r.Item == "" {
		return where
	}
	return where + ":" + r.Item
}

// Rules are the rules of a node.
type Rules []Rule

// concern are the rules about a file.
func (rs Rules) concern(section Section, file string) Rules {
	return slices.DeleteFunc(slices.Clone(rs), func(r Rule) bool {
		return r.Section != section || r.File != "" && r.File != file
	})
}

// whole reports whether a node keeps the whole of a file.
func (rs Rules) whole(section Section, file string) bool {
	return slices.ContainsFunc(rs.concern(section, file), func(r Rule) bool { return r.Item == "" })
}

// keepsKey reports whether a node keeps a key of a file.
func (rs Rules) keepsKey(key string) bool {
	return slices.ContainsFunc(rs, func(r Rule) bool { return key == r.Item || strings.HasPrefix(key, r.Item+".") })
}
