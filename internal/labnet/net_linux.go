package labnet

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// A Net is a set of hosts and the networks between them.
type Net struct {
	hosts map[string]*Host
	sw    *Host                // holds the bridges; nil until the first
	ports map[[2]string]string // (network, host) to the port's name in sw
}

// New makes one host for each name.
func New(names ...string) (*Net, error) {
	n := &Net{hosts: make(map[string]*Host), ports: make(map[[2]string]string)}
	for _, name := range names {
		h, err := NewHost(name)
		if err != nil {
			n.Close()
			return nil, err
		}
		n.hosts[name] = h
	}
	return n, nil
}

// Close lets all namespaces go. Processes that run there keep them alive.
func (n *Net) Close() error {
	var errs []error
	for _, h := range n.All() {
		errs = append(errs, h.Close())
	}
	return errors.Join(errs...)
}

// All are the hosts and the switch.
func (n *Net) All() []*Host {
	var all []*Host
	for _, h := range n.hosts {
		all = append(all, h)
	}
	if n.sw != nil {
		all = append(all, n.sw)
	}
	return all
}

// Host returns the one with that name, or nil.
func (n *Net) Host(name string) *Host { return n.hosts[name] }

// Bridge makes an Ethernet segment and gives each host an interface on it that
// has the segment's name and is up. The segment is a bridge in a namespace of
// its own, without spanning tree, multicast snooping and netfilter hooks.
func (n *Net) Bridge(name string, hosts ...string) error {
	sw, err := n.Switch()
	if err != nil {
		return err
	}
	if _, err := sw.IP("link add %s type bridge stp_state 0 mcast_snooping 0 forward_delay 0", name); err != nil {
		return err
	}
	if _, err := sw.IP("link set %s up", name); err != nil {
		return err
	}
	for _, host := range hosts {
		if err := n.plug(name, host); err != nil {
			return err
		}
	}
	return nil
}

// plug gives a host an interface on a segment.
func (n *Net) plug(segment, host string) error {
	h := n.Host(host)
	if h == nil {
		return fmt.Errorf("there is no host %q", host)
	}
	port := fmt.Sprintf("%s-%d", segment, len(n.ports))
	n.ports[[2]string{segment, host}] = port
	if err := n.sw.Veth(port, h, segment); err != nil {
		return err
	}
	return n.Attach(segment, host)
}

// Veth makes a cable from an interface of h to one of another host. Both ends are
// up.
func (h *Host) Veth(ifname string, peer *Host, peerIfname string) error {
	if _, err := h.IP("link add %s type veth peer name %s netns %s", ifname, peerIfname, peer.Path()); err != nil {
		return err
	}
	if _, err := peer.IP("link set %s up", peerIfname); err != nil {
		return err
	}
	_, err := h.IP("link set %s up", ifname)
	return err
}

// Switch is the namespace with the bridges, which have the names of their segments.
func (n *Net) Switch() (*Host, error) {
	if n.sw != nil {
		return n.sw, nil
	}
	sw, err := NewHost("switch")
	if err != nil {
		return nil, err
	}
	if e := sw.Do(func() { err = noHooks() }); e != nil || err != nil {
		sw.Close()
		return nil, errors.Join(e, err)
	}
	n.sw = sw
	return sw, nil
}

// noHooks keeps bridged frames from netfilter.
func noHooks() error {
	const dir = "/proc/sys/net/bridge"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // the br_netfilter module is not loaded: there are no hooks
	}
	var errs []error
	for _, e := range entries {
		if slices.Contains([]string{"bridge-nf-call-arptables", "bridge-nf-call-iptables", "bridge-nf-call-ip6tables"}, e.Name()) {
			errs = append(errs, os.WriteFile(dir+"/"+e.Name(), []byte("0"), 0))
		}
	}
	return errors.Join(errs...)
}

// Port is the name, in the Switch, of the port of a segment that a host is plugged
// into; empty if it is not.
func (n *Net) Port(segment, host string) string { return n.ports[[2]string{segment, host}] }

// Carrier plugs the cable of a host out (false) or in (true).
func (n *Net) Carrier(segment, host string, on bool) error {
	state := "down"
	if on {
		state = "up"
	}
	_, err := n.sw.IP("link set %s %s", n.Port(segment, host), state)
	return err
}

// Detach cuts a host off its segment although its cable stays plugged in, as
// when a switch in between fails. Attach repairs it.
func (n *Net) Detach(segment, host string) error {
	_, err := n.sw.IP("link set %s nomaster", n.Port(segment, host))
	return err
}

// Attach is the reverse of Detach.
func (n *Net) Attach(segment, host string) error {
	_, err := n.sw.IP("link set %s master %s", n.Port(segment, host), segment)
	return err
}
