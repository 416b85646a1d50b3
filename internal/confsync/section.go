package confsync

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/gocarp/gocarp/internal/hook"
	"github.com/gocarp/gocarp/internal/ifconfig"
)

// A Section is one kind of files.
type Section string

// The sections, and the names of the files in them.
const (
	Carp     Section = "carp"     // hostname.carpN
	Pfsync   Section = "pfsync"   // hostname.pfsync0
	Sysctl   Section = "sysctl"   // sysctl.conf
	Hooks    Section = "hooks"    // carp.d/NN-name
	Settings Section = "settings" // firewall.toml
	Extra    Section = "extra"    // extra/NAME: a file elsewhere, as each node's settings say
)

// Sections are all of them, in the order in which they are shown.
var Sections = []Section{Carp, Pfsync, Sysctl, Settings, Hooks, Extra}

const (
	sysctlFile   = "sysctl.conf"
	settingsFile = "firewall.toml"
	hooksDir     = "carp.d/"
	extraDir     = "extra/"
)

var extraName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)

// IsExtra reports whether name can be that of a file of section extra.
func IsExtra(name string) bool { return extraName.MatchString(name) }

// SectionOf is the section of a file, by its name. Other names are not synchronised:
// the flag of "maintenance on -persistent" and secrets of their own among them.
func SectionOf(name string) (Section, bool) {
	if ifname, ok := ifconfig.HostnameInterface(name); ok {
		switch {
		case ifconfig.KindOf(ifname) == ifconfig.KindCarp:
			return Carp, true
		case ifname == "pfsync0":
			return Pfsync, true
		}
		return "", false
	}
	script, isHook := strings.CutPrefix(name, hooksDir)
	extra, isExtra := strings.CutPrefix(name, extraDir)
	switch {
	case name == sysctlFile:
		return Sysctl, true
	case name == settingsFile:
		return Settings, true
	case isHook && hook.IsScript(script):
		return Hooks, true
	case isExtra && IsExtra(extra):
		return Extra, true
	}
	return "", false
}

// ParseSections reads the names of sections; none means all.
func ParseSections(names []string) ([]Section, error) {
	if len(names) == 0 {
		return Sections, nil
	}
	var all []Section
	for _, name := range names {
		s, ok := find(Section(name))
		if !ok {
			return nil, fmt.Errorf("%q is no section: want one of %v", name, Sections)
		}
		all = append(all, s)
	}
	return all, nil
}

func find(s Section) (Section, bool) {
	for _, known := range Sections {
		if s == known {
			return s, true
		}
	}
	return "", false
}
