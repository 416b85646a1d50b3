package ifconfig

import (
	"fmt"
	"strings"

	"github.com/gocarp/gocarp/carp"
)

// A CarpStatus is what "ifconfig carp1" shows.
type CarpStatus struct {
	CarpInterface
	State carp.State
	MAC   carp.HardwareAddr // zero: the line is left out
	Index int               // of the interface; 0: the line is left out
}

// The flags of interfaces, IFF_ in the kernel.
const (
	flagUp        = 1 << 0
	flagBroadcast = 1 << 1
	flagRunning   = 1 << 6
	flagSimplex   = 1 << 11
	flagMulticast = 1 << 15
)

// flagNames are in the order ifconfig prints them in.
var flagNames = []struct {
	bit  int
	name string
}{
	{flagUp, "UP"}, {flagBroadcast, "BROADCAST"}, {flagRunning, "RUNNING"},
	{flagSimplex, "SIMPLEX"}, {flagMulticast, "MULTICAST"},
}

// String is the output of OpenBSD's ifconfig(8). A load balancing group is shown
// as if its first virtual host were all.
func (s CarpStatus) String() string {
	flags := flagBroadcast | flagSimplex | flagMulticast
	if !s.Down && len(s.Addresses) > 0 {
		flags |= flagUp
		if s.State != carp.Init {
			flags |= flagRunning
		}
	}
	var b strings.Builder
	s.head(&b, flags)
	if s.MAC != (carp.HardwareAddr{}) {
		fmt.Fprintf(&b, "\tlladdr %v\n", s.MAC)
	}
	s.describe(&b, s.Index, 15) // carp's routes give way to those of real interfaces
	if s.VHID != 0 {
		dev, peer := s.CarpDev, ""
		if dev == "" {
			dev = "none"
		}
		if s.Peer.IsValid() {
			peer = " carppeer " + s.Peer.String()
		}
		fmt.Fprintf(&b, "\tcarp: %v carpdev %s vhid %d advbase %d advskew %d%s\n", s.State, dev, s.VHID, s.AdvBase, s.AdvSkew, peer)
	}
	s.groups(&b)
	link := map[carp.State]string{carp.Master: "master", carp.Backup: "backup"}[s.State]
	if link == "" {
		link = "invalid"
	}
	fmt.Fprintf(&b, "\tstatus: %s\n", link)
	for _, a := range s.Addresses {
		fmt.Fprintf(&b, "\t%v\n", a)
	}
	return b.String()
}

// A PfsyncStatus is what "ifconfig pfsync0" shows.
type PfsyncStatus struct {
	PfsyncInterface
	Index int // of the interface; 0: the line is left out
}

// String is the output of OpenBSD's ifconfig(8), with FreeBSD's version if one is
// configured.
func (s PfsyncStatus) String() string {
	flags := 0
	if s.Up {
		flags = flagUp
		if s.SyncDev != "" {
			flags |= flagRunning
		}
	}
	var b strings.Builder
	s.head(&b, flags)
	s.describe(&b, s.Index, 0)
	if s.SyncDev != "" {
		fmt.Fprintf(&b, "\tencap: parent %s\n", s.SyncDev)
		fmt.Fprintf(&b, "\tpfsync: syncdev: %s ", s.SyncDev)
		if s.SyncPeer.IsValid() {
			fmt.Fprintf(&b, "syncpeer: %v ", s.SyncPeer)
		}
		onOff := "off"
		if s.Defer {
			onOff = "on"
		}
		fmt.Fprintf(&b, "maxupd: %d defer: %s", s.MaxUpd, onOff)
		if s.Version != 0 {
			fmt.Fprintf(&b, " version: %d", s.Version)
		}
		b.WriteByte('\n')
	}
	s.groups(&b)
	return b.String()
}

// GroupStatus is what "ifconfig -g group" shows.
func GroupStatus(group string, demotion int) string {
	return fmt.Sprintf("%s: carp demote count %d\n", group, demotion)
}

// head writes the first line.
func (i Interface) head(b *strings.Builder, flags int) {
	var names []string
	for _, f := range flagNames {
		if flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	mtu := i.MTU
	if mtu == 0 {
		mtu = 1500
	}
	fmt.Fprintf(b, "%s: flags=%x<%s> mtu %d\n", i.Name, flags, strings.Join(names, ","), mtu)
}

// describe writes the lines between the addresses and the driver's own.
func (i Interface) describe(b *strings.Builder, index, priority int) {
	if i.Description != "" {
		fmt.Fprintf(b, "\tdescription: %s\n", i.Description)
	}
	if index > 0 {
		fmt.Fprintf(b, "\tindex %d priority %d llprio 3\n", index, priority)
	}
}

func (i Interface) groups(b *strings.Builder) {
	if len(i.Groups) > 0 {
		fmt.Fprintf(b, "\tgroups: %s\n", strings.Join(i.Groups, " "))
	}
}
