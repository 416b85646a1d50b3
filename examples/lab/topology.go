//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gocarp/gocarp/internal/labnet"
)

// The network: a client on the LAN, a server on the WAN, two firewalls between them
// that have a cable to each other, and an eye that watches both sides.
const (
	lanVIP = "192.0.2.1"
	wanVIP = "198.51.100.1"

	clientAddr = "192.0.2.100"
	serverAddr = "198.51.100.100"
)

// The segments, which are the names of the interfaces, too.
const (
	lan  = "lan"
	wan  = "wan"
	link = "sync" // the cable between the firewalls
)

var (
	segments = []string{lan, wan, link}
	prefixes = map[string]string{lan: "192.0.2.", wan: "198.51.100.", link: "203.0.113."}
)

// A shape is how the WAN is.
type shape int

const (
	twoAddresses shape = iota // each firewall has a WAN address of its own, beside the shared one
	oneAddress                // one for both, which the server gives by DHCP
	homelab                   // the same behind an ISP's box with NAT, and the LAN has DHCP, too
)

// A node is one of the two firewalls.
type node struct {
	*labnet.Host
	last    string // octet of its own addresses
	dir     string // configuration, logs
	daemons []*daemon
}

// addr is the node's own address on a segment.
func (n *node) addr(segment string) string { return prefixes[segment] + n.last }

// A topology is the network without what runs on it.
type topology struct {
	*labnet.Net
	shape          shape
	dir            string
	fw1, fw2       *node
	client, server *labnet.Host
	isp            *labnet.Host // who gives WAN addresses: the server, or a box before it
	eye            *labnet.Host
	target         string // address of the server
}

// newTopology builds it; its files go to dir. Close takes it down, also after an
// error.
func newTopology(dir string, how shape) (*topology, error) {
	t := &topology{shape: how, dir: dir, target: serverAddr}
	hosts := []string{"fw1", "fw2", "client", "server", "eye"}
	if how == homelab {
		hosts = append(hosts, "isp")
		t.target = netServer
	}
	var err error
	if t.Net, err = labnet.New(hosts...); err != nil {
		t.Net = nil
		return t, err
	}
	t.client, t.server, t.eye = t.Host("client"), t.Host("server"), t.Host("eye")
	if t.isp = t.Host("isp"); t.isp == nil {
		t.isp = t.server
	}
	t.fw1 = &node{Host: t.Host("fw1"), last: "11", dir: filepath.Join(dir, "fw1")}
	t.fw2 = &node{Host: t.Host("fw2"), last: "12", dir: filepath.Join(dir, "fw2")}
	for _, step := range []func() error{t.wire, t.mark, t.nodes, t.ends} {
		if err := step(); err != nil {
			return t, err
		}
	}
	return t, nil
}

// wire lays the cables.
func (t *topology) wire() error {
	return errors.Join(
		t.Bridge(lan, "fw1", "fw2", "client", "eye"),
		t.Bridge(wan, "fw1", "fw2", t.isp.Name, "eye"),
		t.Bridge(link, "fw1", "fw2"),
	)
}

// ends are the client and the server. The server has no route to the LAN: it
// answers the shared address, or nobody.
func (t *topology) ends() error {
	if t.shape == homelab {
		return t.ispBox()
	}
	return errors.Join(
		t.client.Addr(lan, clientAddr+"/24"),
		ip(t.client, "route add default via "+lanVIP),
		t.server.Addr(wan, serverAddr+"/24"),
	)
}

// nodes makes the firewalls forward, with NAT.
func (t *topology) nodes() error {
	var errs []error
	for _, n := range []*node{t.fw1, t.fw2} {
		errs = append(errs, os.MkdirAll(n.dir, 0o755))
		for _, s := range segments {
			if s == wan && t.shape != twoAddresses {
				errs = append(errs, ip(n.Host, "link set wan down"))
				continue
			}
			errs = append(errs, n.Addr(s, n.addr(s)+"/24"))
		}
		errs = append(errs, n.SetSysctl("net.ipv4.ip_forward", "1"), n.rules())
	}
	return errors.Join(errs...)
}

// ruleset is the NAT. A connection gets a random port: if two firewalls use the same
// one for it, the second has it from the first. A firewall that has not heard of a
// TCP connection drops it, other than Linux does by default, and does not answer what
// comes from the WAN itself: a reset would end what may go on in a moment.
const ruleset = `table ip lab {
	chain input {
		type filter hook input priority 0; policy accept;
		ct state invalid drop
		iifname "wan" meta l4proto { tcp, udp } ct state new drop
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state invalid drop
		ct state established,related accept
		iifname != { "wan", "sync" } oifname "wan" ct state new accept
	}
	chain postrouting {
		type nat hook postrouting priority 100;
		oifname "wan" ip saddr 192.0.2.0/24 meta l4proto { tcp, udp } snat to 198.51.100.1:20000-59999 random
		oifname "wan" ip saddr 192.0.2.0/24 snat to 198.51.100.1
	}
}
`

func (n *node) rules() error {
	file := filepath.Join(n.dir, "nft.rules")
	if err := os.WriteFile(file, []byte(ruleset), 0o644); err != nil {
		return err
	}
	if _, err := n.Run("nft", "-f", file); err != nil {
		return err
	}
	return n.SetSysctl("net.netfilter.nf_conntrack_tcp_loose", "0") // it is there with the first rule
}

// mark tells the next run whose namespaces these are: see sweep.
func (t *topology) mark() error {
	var errs []error
	for _, h := range t.All() {
		errs = append(errs, ip(h, "link set lo alias "+t.dir))
	}
	return errors.Join(errs...)
}

// close ends what runs in the network, and the network.
func (t *topology) close() error {
	if t.Net == nil {
		return nil
	}
	var errs []error
	for _, h := range t.All() {
		errs = append(errs, h.Kill())
	}
	return errors.Join(append(errs, t.Close())...)
}

// cut separates a node from segments, as when a switch has no power: all at once.
func (t *topology) cut(n *node, from ...string) error {
	return t.batch(from, func(s string) string { return fmt.Sprintf("link set %s nomaster", t.Port(s, n.Name)) })
}

// mend is the reverse of cut.
func (t *topology) mend(n *node, to ...string) error {
	return t.batch(to, func(s string) string { return fmt.Sprintf("link set %s master %s", t.Port(s, n.Name), s) })
}

// batch has one ip process do something to many segments, in the switch.
func (t *topology) batch(segments []string, line func(string) string) error {
	var script strings.Builder
	for _, s := range segments {
		fmt.Fprintln(&script, line(s))
	}
	sw, err := t.Switch()
	if err != nil {
		return err
	}
	file := filepath.Join(t.dir, "batch")
	if err := os.WriteFile(file, []byte(script.String()), 0o644); err != nil {
		return err
	}
	_, err = sw.Run("ip", "-batch", file)
	return err
}

// ip is h.IP for those who do not want the output.
func ip(h *labnet.Host, line string) error {
	_, err := h.IP("%s", line)
	return err
}
