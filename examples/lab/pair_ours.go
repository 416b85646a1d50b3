//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ours is examples/firewall, with the files and the commands of its documentation.
var ours = &pair{
	name: "ours", syncs: true, tied: true,
	start: func(b *bench, n *node) error {
		if err := write(n.dir, ourFiles(b, n)...); err != nil {
			return err
		}
		cmd := exec.Command(b.firewall, "run", "-C", n.dir, "-s", ourSocket(n))
		cmd.Env = append(os.Environ(), "GOCARP_RUN_DIR="+n.dir) // both would have the same /run
		return n.start("firewall", cmd)
	},
	maintenance: func(b *bench, n *node, on bool) error {
		word := "off"
		if on {
			word = "on"
		}
		_, err := b.ask(n, "maintenance", word)
		return err
	},
	settled: func(b *bench, master *node) error {
		for _, n := range b.nodes() {
			s, err := b.status(n)
			want := "BACKUP"
			if n == master {
				want = "MASTER"
			}
			switch {
			case err != nil:
				return err
			case s.Role != want:
				return fmt.Errorf("%s is %s", n.Name, s.Role)
			case len(s.Demotions) > 0:
				return fmt.Errorf("%s is demoted: %v", n.Name, s.Demotions)
			case !s.Pfsync.Synced:
				return fmt.Errorf("%s has a bulk update outstanding", n.Name)
			}
		}
		return nil
	},
}

func ourSocket(n *node) string { return filepath.Join(n.dir, "socket") }

// ourFiles are the configuration of a firewall.
func ourFiles(b *bench, n *node) []file {
	carp := func(vhid int, segment, vip string) file {
		p := prefixes[segment]
		return file{fmt.Sprintf("hostname.carp%d", vhid), fmt.Sprintf(
			"inet %s 255.255.255.0 %s255 vhid %d carpdev %s pass secret advbase %d advskew %d\n",
			vip, p, vhid, segment, b.timers.advBase, b.timers.skew(n))}
	}
	files := []file{
		carp(1, lan, lanVIP),
		{"hostname.pfsync0", "up syncdev sync\n"},
		{"sysctl.conf", "net.inet.carp.preempt=1\n"},
		{"carp.d/10-note", "#!/bin/sh\n" + n.note("$1 $2")},
	}
	if b.shape == twoAddresses {
		return append(files, carp(2, wan, wanVIP))
	}
	return append(files,
		file{"peer.key", "a secret of both firewalls\n"},
		file{"lease", leaseScript},
		file{"firewall.toml", fmt.Sprintf(oneAddressSettings, b.other(n).addr(link), sharedMAC, n.dir)})
}

// sharedMAC is that of the one WAN interface there seems to be.
const sharedMAC = "02:00:5e:00:53:01"

// oneAddressSettings takes: the other one's address, the shared hardware address, the
// directory with the script for the lease.
const oneAddressSettings = `[peer]
address = "%s"
secret-file = "peer.key"
[wan]
interface = "wan"
lladdr = "%s"
follow = "carp1"
client = ["udhcpc", "-f", "-i", "%%i", "-s", "%s/lease", "-t", "10", "-T", "1", "-A", "1"]
`

// leaseScript is what udhcpc does with a lease. That of the system would change the
// name servers of this machine.
const leaseScript = `#!/bin/sh
case $1 in
bound|renew)
	ip addr replace $ip/$mask dev $interface
	ip route replace default via $router dev $interface ;;
deconfig)
	ip addr flush dev $interface ;;
esac
`

// ask has a firewall answer a command.
func (b *bench) ask(n *node, command ...string) ([]byte, error) {
	out, err := exec.Command(b.firewall, append([]string{"-s", ourSocket(n)}, command...)...).Output()
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("%s: firewall %v: %w", n.Name, command, err)
	}
	return out, nil
}

// An ourStatus is what we look at of "status -json".
type ourStatus struct {
	Local     bool
	Role      string
	Demotions []struct {
		Interface, Cause string
		By               int
	}
	Pfsync struct{ Synced bool }
}

// status is what a firewall says about itself.
func (b *bench) status(n *node) (ourStatus, error) {
	out, err := b.ask(n, "status", "-json")
	if err != nil {
		return ourStatus{}, err
	}
	var r struct{ Nodes []ourStatus }
	if err := json.Unmarshal(out, &r); err != nil {
		return ourStatus{}, fmt.Errorf("%s: status: %w", n.Name, err)
	}
	for _, s := range r.Nodes {
		if s.Local {
			return s, nil
		}
	}
	return ourStatus{}, fmt.Errorf("%s: status: nothing about itself in %s", n.Name, out)
}
