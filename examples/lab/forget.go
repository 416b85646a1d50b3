//go:build linux

package main

import (
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// forget makes a host's kernel know no connections, and have no shared addresses, as
// after a boot; without a WAN address of its own the interface is down.
func (n *node) forget(ownWAN bool) error {
	errs := []error{n.flushConntrack()}
	for segment, vip := range map[string]string{lan: lanVIP, wan: wanVIP} {
		n.IP("addr flush dev %s to %s/32", segment, vip) // there may be none
	}
	if !ownWAN {
		errs = append(errs, ip(n.Host, "addr flush dev wan"), ip(n.Host, "link set wan down"))
	}
	return errors.Join(errs...)
}

// flushConntrack empties the connection table: a delete that names none.
func (n *node) flushConntrack() error {
	var c *netlink.Conn
	var err error
	if e := n.Do(func() { c, err = netlink.Dial(unix.NETLINK_NETFILTER, nil) }); e != nil || err != nil {
		return errors.Join(e, err)
	}
	defer c.Close()
	const ctDelete = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: ctDelete, Flags: netlink.Request | netlink.Acknowledge},
		Data:   []byte{unix.AF_UNSPEC, 0, 0, 0},
	})
	if err != nil {
		return fmt.Errorf("%s: flush the connections: %w", n.Name, err)
	}
	return nil
}
