package main

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/ifconfig"
	"github.com/gocarp/gocarp/internal/rtnl"
)

// vipMark is the IFA_PROTO that package vip marks its addresses with.
const vipMark = 112

// readMachine looks at all links.
func readMachine() (machine, error) {
	c, err := rtnl.Dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	links, err := c.Links()
	if err != nil {
		return nil, err
	}
	addrs, err := c.Addrs(0)
	if err != nil {
		return nil, err
	}
	m := make(machine, len(links))
	for i, l := range links {
		m[i] = link{name: l.Name, index: l.Index, mtu: l.MTU, mac: carp.HardwareAddr(l.MAC), up: l.AdminUp, running: l.Running}
		for _, a := range addrs {
			if a.Index == l.Index {
				m[i].addrs = append(m[i].addrs, linkAddr{a.Prefix, a.Proto == vipMark})
			}
		}
	}
	return m, nil
}

// apply makes a change that l allows.
func (l *link) apply(ch ifconfig.Change) error {
	c, err := rtnl.Dial()
	if err != nil {
		return err
	}
	defer c.Close()
	switch ch.Op {
	case ifconfig.Up, ifconfig.Down:
		return c.SetUp(l.index, ch.Op == ifconfig.Up)
	case ifconfig.SetAddress, ifconfig.AddAddress:
		return c.ReplaceAddr(rtnl.Addr{Index: l.index, Prefix: ch.Address.Prefix})
	}
	for _, a := range l.addrs {
		if !a.ours && a.Addr() == ch.Addr {
			return c.DeleteAddr(rtnl.Addr{Index: l.index, Prefix: a.Prefix})
		}
	}
	return nil
}

// privileges reports what we may not do, if there is anything.
func privileges() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("reading our capabilities: %w", err)
	}
	for _, c := range [...]struct {
		bit  uint
		name string
	}{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_NET_RAW, "CAP_NET_RAW"}} {
		if data[0].Effective&(1<<c.bit) == 0 {
			return fmt.Errorf("the capability %s is needed, to put addresses on and to send adverts: %w", c.name, unix.EPERM)
		}
	}
	return nil
}
