package main

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/hook"
	"github.com/gocarp/gocarp/internal/ifconfig"
	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/vip"
)

// settings are what firewall.toml says.
type settings struct {
	mac           vip.Mode
	carpDialect   carp.Dialect
	pfsyncDialect pfsync.Dialect
	carpAllow     []netip.Prefix // sources whose adverts count; none: all
	syncPeers     []netip.Addr   // sources whose pfsync packets count; none: syncpeer, or all
	maxStates     int
	converge      bool // compare the table with those of peers, and repair it
	hookTimeout   time.Duration
	hookDemote    int // 0: failing hooks do not demote
	checks        []checkSettings
	peer          peerSettings
	wan           wanSettings
	sync          syncSettings
	states        stateSettings
}

const settingsFile = "firewall.toml"

// readSettings reads firewall.toml, which need not be there.
func readSettings(dir string) (settings, error) {
	s := settings{hookTimeout: hook.DefaultTimeout, maxStates: pfsync.DefaultStates, wan: defaultWAN()}
	data, err := os.ReadFile(filepath.Join(dir, settingsFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return s, nil
	case err != nil:
		return s, err
	}
	values, err := parseTOML(settingsFile, string(data))
	if err != nil {
		return s, err
	}
	var errs []error
	for _, v := range values {
		if msg := s.set(v); msg != "" {
			errs = append(errs, &ifconfig.Error{Pos: v.pos, Word: v.key, Msg: msg})
		}
	}
	return s, errors.Join(append(errs, s.peer.load(dir))...)
}

// set takes a value, or says what was expected.
func (s *settings) set(v tomlValue) (expected string) {
	text, _ := v.v.(string)
	list, isList := v.v.([]string)
	if strings.HasPrefix(v.key, "check.") {
		return s.setCheck(v)
	}
	if strings.HasPrefix(v.key, "sync.") {
		return s.sync.set(v)
	}
	if strings.HasPrefix(v.key, "states.") {
		return s.states.set(v)
	}
	if strings.HasPrefix(v.key, "wan.") {
		return s.wan.set(v)
	}
	switch v.key {
	case "mac":
		modes := map[string]vip.Mode{"real": vip.RealMAC, "virtual": vip.VirtualMAC, "rewritten": vip.RewrittenMAC}
		mode, ok := modes[text]
		if !ok {
			return `expected "real", "virtual" or "rewritten"`
		}
		s.mac = mode
	case "dialect":
		switch text {
		case "openbsd":
			s.carpDialect, s.pfsyncDialect = carp.OpenBSD, pfsync.OpenBSD
		case "freebsd":
			s.carpDialect, s.pfsyncDialect = carp.FreeBSD, pfsync.FreeBSD15
		default:
			return `expected "openbsd" or "freebsd"`
		}
	case "carp.allow":
		for _, w := range list {
			p, err := parsePrefix(w)
			if err != nil {
				return `expected addresses and networks, as ["192.0.2.1", "192.0.2.0/24"]`
			}
			s.carpAllow = append(s.carpAllow, p)
		}
		if !isList {
			return `expected addresses and networks, as ["192.0.2.1", "192.0.2.0/24"]`
		}
	case "pfsync.peers":
		for _, w := range list {
			a, err := netip.ParseAddr(w)
			if err != nil || a.IsMulticast() || a.IsUnspecified() {
				return `expected the addresses of hosts, as ["192.0.2.1"]`
			}
			s.syncPeers = append(s.syncPeers, a)
		}
		if !isList {
			return `expected the addresses of hosts, as ["192.0.2.1"]`
		}
	case "pfsync.converge":
		on, ok := v.v.(bool)
		if !ok {
			return "expected true or false"
		}
		s.converge = on
	case "pfsync.states":
		n, ok := within(v.v, 1, pfsync.MaxStates)
		if !ok {
			return "expected a number, 1 to 16777214"
		}
		s.maxStates = n
	case "hooks.timeout":
		n, ok := within(v.v, 1, 3600)
		if !ok {
			return "expected seconds, 1 to 3600"
		}
		s.hookTimeout = time.Duration(n) * time.Second
	case "hooks.demote":
		n, ok := within(v.v, 0, 255)
		if !ok {
			return "expected a number, 0 to 255"
		}
		s.hookDemote = n
	case "peer.address", "peer.port", "peer.secret-file":
		return s.peer.set(v)
	default:
		return "expected one of mac, dialect, carp.allow, pfsync.converge, pfsync.peers, pfsync.states, hooks.timeout, hooks.demote, check.NAME, peer.address, peer.port, peer.secret-file, sync.exclude, sync.skew-add, sync.extra.NAME, states.policy, states.refresh, states.short, states.local, wan.interface and its like"
	}
	return ""
}

// equal reports whether s and o say the same, wherever it stands, but for what counts
// without a new start: the checks, and what [sync] says.
func (s settings) equal(o settings) bool {
	for _, x := range []*settings{&s, &o} {
		x.checks, x.sync = nil, syncSettings{}
		x.peer.pos, x.wan.at = ifconfig.Pos{}, nil
	}
	s.wan.at, o.wan.at = nil, nil // other lines may have moved it
	return reflect.DeepEqual(s, o)
}

// within takes v as a number in a range.
func within(v any, low, high int64) (int, bool) {
	n, ok := v.(int64)
	return int(n), ok && n >= low && n <= high
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Prefix(a.BitLen())
	}
	return netip.ParsePrefix(s)
}
