//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// dnsmasq is a DHCP server for one interface, of these addresses.
func dnsmasq(dir, segment, from, to string, options ...string) (*exec.Cmd, error) {
	path, err := lookTool("dnsmasq")
	if err != nil {
		return nil, err
	}
	args := []string{
		"--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=" + segment, "--bind-interfaces", "--except-interface=lo",
		"--user=root", "--pid-file=", "--dhcp-leasefile=" + filepath.Join(dir, "leases"), "--no-ping", "--log-dhcp",
		"--dhcp-authoritative", fmt.Sprintf("--dhcp-range=%s,%s,255.255.255.0,1h", from, to),
	}
	return exec.Command(path, append(args, options...)...), nil
}

// serveLease has the ISP give exactly one WAN address.
func (b *bench) serveLease() error {
	gateway := serverAddr
	if b.shape == homelab {
		gateway = ispAddr
	}
	cmd, err := dnsmasq(b.dir, wan, wanVIP, wanVIP, "--dhcp-option=3,"+gateway)
	if err != nil {
		return err
	}
	d, err := startDaemon(b.isp, b.dir, "dnsmasq", cmd)
	if err == nil {
		b.closers = append(b.closers, func() error { d.kill(); return nil })
	}
	return err
}

// serveLAN has a firewall give addresses to the LAN. The shared address is the router
// and the name server. Their ranges differ, since they know nothing of each other's
// leases, and the backup is slow to answer, so that the master is first.
func (b *bench) serveLAN(n *node) error {
	from, to, more := "192.0.2.20", "192.0.2.90", []string(nil)
	if n == b.fw2 {
		from, to, more = "192.0.2.200", "192.0.2.220", []string{"--dhcp-reply-delay=5"}
	}
	cmd, err := dnsmasq(n.dir, lan, from, to, append(more, "--dhcp-option=3,"+lanVIP, "--dhcp-option=6,"+lanVIP)...)
	if err != nil {
		return err
	}
	return n.start("dnsmasq", cmd)
}

// clientLease is what the client's udhcpc does with a lease: as leaseScript, and it
// writes down what it got.
const clientLease = leaseScript + `[ $1 != bound ] || echo "$ip $router $dns" >%s
`

// leaseClient has the client get its address from the pair.
func (b *bench) leaseClient() error {
	path, err := lookTool("udhcpc")
	if err != nil {
		return err
	}
	got := filepath.Join(b.dir, "client-lease")
	if err := write(b.dir, file{"client-dhcp", fmt.Sprintf(clientLease, got)}); err != nil {
		return err
	}
	if _, err := b.client.Run(path, "-n", "-q", "-f", "-i", lan, "-t", "10", "-T", "1", "-s", filepath.Join(b.dir, "client-dhcp")); err != nil {
		return err
	}
	lease, err := os.ReadFile(got)
	if err != nil {
		return err
	}
	words := strings.Fields(string(lease))
	if len(words) != 3 || !strings.HasPrefix(words[0], prefixes[lan]) || words[1] != lanVIP || words[2] != lanVIP {
		return fmt.Errorf("the client's lease is %q, want an address, and %s as router and name server", words, lanVIP)
	}
	b.log.say("the client has %s by DHCP, router and name server %s", words[0], lanVIP)
	return nil
}
