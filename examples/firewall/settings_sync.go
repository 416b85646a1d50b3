package main

import (
	"path/filepath"
	"strings"

	"github.com/gocarp/gocarp/internal/confsync"
)

// syncSettings are what [sync] in firewall.toml says. They count from the moment on in
// which they are written.
type syncSettings struct {
	exclude []string // as written
	rules   confsync.Rules
	skewAdd int
	extra   map[string]extraFile
}

// An extraFile is a file elsewhere that is synchronised, too.
type extraFile struct {
	path string
	run  []string // after a change; empty: nothing
}

const wantExtra = `expected the path of a file, and the words of a command to run when it has changed, as ["/etc/dnsmasq.d/options.conf", "systemctl", "reload", "dnsmasq"]`

// set takes a value, or says what was expected.
func (s *syncSettings) set(v tomlValue) (expected string) {
	list, isList := v.v.([]string)
	switch name, isExtra := strings.CutPrefix(v.key, "sync.extra."); {
	case v.key == "sync.exclude":
		if !isList {
			return `expected what this node keeps for itself, as ["carp:advskew", "hooks:90-local"]`
		}
		for _, text := range list {
			r, err := confsync.ParseRule(text)
			if err != nil {
				return err.Error()
			}
			s.rules = append(s.rules, r)
		}
		s.exclude = list
	case v.key == "sync.skew-add":
		n, ok := within(v.v, 1, 254)
		if !ok {
			return "expected what is added to the advskew of the master, 1 to 254"
		}
		s.skewAdd = n
	case isExtra:
		if !confsync.IsExtra(name) || len(list) == 0 || !filepath.IsAbs(list[0]) || filepath.Clean(list[0]) != list[0] {
			return wantExtra
		}
		for _, other := range s.extra {
			if other.path == list[0] {
				return "expected each file once: " + list[0]
			}
		}
		if s.extra == nil {
			s.extra = make(map[string]extraFile)
		}
		s.extra[name] = extraFile{list[0], list[1:]}
	default:
		return "expected one of sync.exclude, sync.skew-add, sync.extra.NAME"
	}
	return ""
}

// paths are where the extra files are.
func (s *syncSettings) paths() map[string]string {
	all := make(map[string]string)
	for name, e := range s.extra {
		all[name] = e.path
	}
	return all
}
