package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/ifconfig"
)

// wanSettings are what [wan] in firewall.toml says.
type wanSettings struct {
	at      map[string]ifconfig.Pos // where each key is
	ifname  string                  // empty: there is no such thing
	mac     carp.HardwareAddr       // on both hosts; zero: the interface has it already
	follow  string                  // the carp interface whose master it belongs to
	client  []string                // the command of the DHCP client, with %i for the interface; none: there is an address
	address netip.Prefix
	gateway netip.Addr
	ra      bool // routers of the provider are listened to
	policy  wanPolicy
	demote  int // of a master whose WAN does not work, 0: not
}

// defaultWAN is what counts unless firewall.toml says otherwise.
func defaultWAN() wanSettings {
	return wanSettings{at: make(map[string]ifconfig.Pos), ra: true, policy: wanPolicy{confirm: time.Second, wait: 5 * time.Second}}
}

// wanClients are the clients whose arguments we know. All of them stay in the
// foreground, and try on for ever, or are started again. dhcpcd would have an identity
// and an address of its own on each host, and ask the others for five seconds whether
// somebody has the address that it got; nobody does, since the other host is down.
var wanClients = map[string][]string{
	"udhcpc":   {"udhcpc", "-f", "-i", "%i", "-t", "4", "-T", "1", "-A", "2"},
	"dhclient": {"dhclient", "-d", "-pf", "/dev/null", "%i"},
	"dhcpcd":   {"dhcpcd", "-B", "-t", "0", "-A", "--nodelay", "--duid=ll", "--clientid=", "--slaac", "hwaddr", "%i"},
}

// set takes a value, or says what was expected.
func (s *wanSettings) set(v tomlValue) (expected string) {
	text, _ := v.v.(string)
	key := strings.TrimPrefix(v.key, "wan.")
	s.at[key] = v.pos
	switch key {
	case "interface":
		if s.ifname = text; text == "" || len(text) > 15 {
			return `expected the name of an interface, as "wan0"`
		}
	case "lladdr":
		mac, err := net.ParseMAC(text)
		if err != nil || len(mac) != len(s.mac) || mac[0]&1 != 0 || [6]byte(mac) == [6]byte{} {
			return `expected the address of one Ethernet interface, as "02:00:5e:00:53:01"`
		}
		s.mac = carp.HardwareAddr(mac)
	case "follow":
		if s.follow = text; ifconfig.KindOf(text) != ifconfig.KindCarp {
			return `expected the name of a carp interface, as "carp1"`
		}
	case "client":
		return s.setClient(v.v)
	case "address":
		p, err := netip.ParsePrefix(text)
		if s.address = p; err != nil || !p.Addr().Is4() {
			return `expected an IPv4 address with its network, as "203.0.113.2/24"`
		}
	case "gateway":
		a, err := netip.ParseAddr(text)
		if s.gateway = a; err != nil || !a.Is4() {
			return `expected an IPv4 address, as "203.0.113.1"`
		}
	case "accept-ra":
		var ok bool
		if s.ra, ok = v.v.(bool); !ok {
			return "expected true or false"
		}
	case "confirm":
		n, ok := within(v.v, 0, 60)
		if s.policy.confirm = time.Duration(n) * time.Second; !ok {
			return "expected seconds, 0 to 60"
		}
	case "wait":
		n, ok := within(v.v, 1, 60)
		if s.policy.wait = time.Duration(n) * time.Second; !ok {
			return "expected seconds, 1 to 60"
		}
	case "without-peer":
		if s.policy.stayDown = text == "stay-down"; text != "up" && text != "stay-down" {
			return `expected "up" or "stay-down"`
		}
	case "demote":
		n, ok := within(v.v, 0, 255)
		if s.demote = n; !ok {
			return "expected a number, 0 to 255"
		}
	default:
		return "expected one of interface, lladdr, follow, client, address, gateway, accept-ra, confirm, wait, without-peer, demote in [wan]"
	}
	return ""
}

// setClient takes the name of a client that we know, or a command.
func (s *wanSettings) setClient(v any) (expected string) {
	const want = `expected "udhcpc", "dhclient", "dhcpcd", "none", or a command that stays in the foreground, as ["udhcpc", "-f", "-i", "%i"]`
	switch v := v.(type) {
	case string:
		s.client = wanClients[v]
		if s.client == nil && v != "none" {
			return want
		}
	case []string:
		if s.client = v; len(v) == 0 || slices.Contains(v, "") {
			return want
		}
	default:
		return want
	}
	return ""
}

// place has it follow the first carp interface, if it was not told which.
func (s *wanSettings) place(config ifconfig.Config) {
	if s.follow == "" && len(config.Carp) > 0 {
		s.follow = config.Carp[0].Name
	}
}

// prepareWAN finds out whether this machine can do what [wan] asks for.
func (s *setup) prepareWAN(m machine) error {
	c := &s.settings.wan
	if c.ifname == "" {
		if len(c.at) > 0 {
			return c.wrong(firstKey(c.at), "expected interface in [wan] as well")
		}
		return nil
	}
	if s.settings.peer.file == "" {
		s.warn("[wan] without [peer]: nobody says when the other host's %s is down, so that each move waits: see confirm and wait", c.ifname)
	}
	return errors.Join(c.checkInterface(s.config, m), c.checkAddress())
}

// checkInterface reports what is wrong with the interface and what it follows.
func (s *wanSettings) checkInterface(config ifconfig.Config, m machine) error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, s.wrong(key, fmt.Sprintf(format, args...))) }
	switch l := m.find(s.ifname); {
	case l == nil:
		bad("interface", "there is no interface %s", s.ifname)
	case l.mac == carp.HardwareAddr{}:
		bad("interface", "expected an Ethernet interface, which %s is not", s.ifname)
	}
	for _, i := range config.Carp {
		if i.CarpDev == s.ifname {
			bad("interface", "expected an interface of its own: %s is the carpdev of %s", s.ifname, i.Name)
		}
	}
	if p := config.Pfsync; p != nil && p.SyncDev == s.ifname {
		bad("interface", "expected an interface of its own: %s is the syncdev of %s", s.ifname, p.Name)
	}
	if _, ok := config.Find(s.follow); !ok {
		key := "interface"
		if _, said := s.at["follow"]; said {
			key = "follow"
		}
		bad(key, "expected a carp interface that it follows: there is no hostname.%s", cmp.Or(s.follow, "carpN"))
	}
	return errors.Join(errs...)
}

// checkAddress reports what is wrong with the way to get an address.
func (s *wanSettings) checkAddress() error {
	_, said := s.at["client"]
	switch {
	case len(s.client) == 0 && !s.address.IsValid() && said:
		return s.wrong("client", "expected an address as well, if there is no client")
	case len(s.client) == 0 && !s.address.IsValid():
		return s.wrong("interface", "expected a client or an address as well")
	case len(s.client) > 0 && s.address.IsValid():
		return s.wrong("address", "expected none: the client finds it")
	case s.gateway.IsValid() && !s.address.IsValid():
		return s.wrong("gateway", "expected none: the client finds it")
	case s.gateway.IsValid() && !s.address.Contains(s.gateway):
		return s.wrong("gateway", fmt.Sprintf("expected it in the network of %v", s.address))
	case len(s.client) > 0:
		if _, err := exec.LookPath(s.client[0]); err != nil {
			return s.wrong("client", fmt.Sprintf("%s cannot be run: %v", s.client[0], errors.Unwrap(err)))
		}
	}
	return nil
}

// command is the client's, for our interface.
func (s *wanSettings) command() []string {
	out := slices.Clone(s.client)
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], "%i", s.ifname)
	}
	return out
}

// wrong is an error about the value of a key.
func (s *wanSettings) wrong(key, msg string) error {
	return &ifconfig.Error{Pos: s.at[key], Word: "wan." + key, Msg: msg}
}

// firstKey is the one on the first line.
func firstKey(at map[string]ifconfig.Pos) string {
	first := ""
	for key, pos := range at {
		if first == "" || pos.Line < at[first].Line {
			first = key
		}
	}
	return first
}

// String is the plan.
func (s *wanSettings) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: up on the master of %s only", s.ifname, s.follow)
	if s.mac != (carp.HardwareAddr{}) {
		fmt.Fprintf(&b, ", with %v", s.mac)
	}
	if s.address.IsValid() {
		fmt.Fprintf(&b, ", %v", s.address)
		if s.gateway.IsValid() {
			fmt.Fprintf(&b, " via %v", s.gateway)
		}
	} else {
		fmt.Fprintf(&b, ", its address by %q", s.command())
	}
	if s.ra {
		b.WriteString(", and IPv6 from the routers there")
	}
	otherwise := fmt.Sprintf("%v after a master left, %v after one fell silent", s.policy.wait, s.policy.confirm)
	if s.policy.stayDown {
		otherwise = "it stays down"
	}
	fmt.Fprintf(&b, "\n\tonce the other host says that its own is down; without an answer %s", otherwise)
	if s.demote > 0 {
		fmt.Fprintf(&b, "\n\tdemoted by %d if there is no carrier or no address", s.demote)
	}
	return b.String()
}
