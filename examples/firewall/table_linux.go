package main

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/conntrack"
)

// A kernelTable is a [conntrack.Table] as a mirror.
type kernelTable struct{ *conntrack.Table }

func (t kernelTable) tell(n *pfsync.Node) { t.SetSink(n) }

func (h *host) openMirror() (mirror, error) {
	ctl, err := conntrack.OpenSysctl()
	if err != nil {
		return nil, err
	}
	defer ctl.Close()
	have, err := ctl.Settings()
	if err != nil {
		return nil, err
	}
	s := &h.settings
	if have.Max > s.maxStates/2 { // 0 is no limit, and rare
		h.log.Warn("firewall: pfsync.states has room for less than the kernel: the connections beyond that do not survive",
			"states", s.maxStates, "connections", s.maxStates/2, "nf_conntrack_max", have.Max)
	}
	c := conntrack.TableConfig{
		Memory: pfsync.MemoryConfig{Dialect: s.pfsyncDialect, Limit: s.maxStates},
		HostID: h.hostID, Refresh: s.states.refresh, SkipShort: s.states.skipShort,
		Local: s.states.local, Addrs: h.ownAddrs, Logger: h.log,
	}
	// A WAN interface of that name has other files.
	if c.Journal, err = runFiles("conntrack"); err == nil {
		err = unix.Access(filepath.Dir(c.Journal), unix.W_OK|unix.X_OK)
	}
	if err != nil { // better a setting that stays than no firewall
		h.log.Warn("firewall: if this program is killed, the settings of conntrack stay as it needs them: they cannot be noted", "err", err)
		c.Journal = ""
	}
	if s.states.policy == statesHold {
		c.Policy = conntrack.Hold
	}
	t, err := conntrack.OpenTable(c)
	if err != nil {
		return nil, err
	}
	return kernelTable{t}, nil
}

// stateWarnings are what keeps connections from surviving although their states are
// in the kernel.
func stateWarnings() []string {
	var all []string
	for _, ip := range []struct{ name, loopback string }{{"IPv4", "127.0.0.1"}, {"IPv6", "::1"}} {
		effect, err := conntrack.Probe(netip.MustParseAddr(ip.loopback))
		switch {
		case err != nil && ip.name == "IPv6": // there is none, or not on the loopback
		case err != nil:
			all = append(all, fmt.Sprintf("whether %s connections are tracked could not be found out: %v", ip.name, err))
		case !effect.Tracked:
			all = append(all, fmt.Sprintf("no rule tracks %s connections, so none survives: want one with \"ct state\"", ip.name))
		case !effect.Translated:
			all = append(all, fmt.Sprintf("there is no NAT chain for %s: connections that are translated do not survive", ip.name))
		}
	}
	return all
}
