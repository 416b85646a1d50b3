package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// blackhole is the queueing discipline that drops everything. All kernels that
// have queueing disciplines (CONFIG_NET_SCHED) have this one.
const blackhole = "blackhole"

// SetBlackhole has all that a link would send be dropped, or ends that. What it
// receives is not affected. It replaces any other root queueing discipline.
func (c *Conn) SetBlackhole(index int, on bool) error {
	const root = 0xffffffff // TC_H_ROOT of linux/pkt_sched.h
	h := make([]byte, 20)   // struct tcmsg: family, index, handle, parent, info
	binary.NativeEndian.PutUint32(h[4:], uint32(index))
	binary.NativeEndian.PutUint32(h[12:], root)
	req, err := encode(h, func(ae *netlink.AttributeEncoder) { ae.String(unix.TCA_KIND, blackhole) })
	switch {
	case err != nil:
	case on:
		err = c.do(unix.RTM_NEWQDISC, netlink.Create|netlink.Replace, req)
	default:
		if err = c.do(unix.RTM_DELQDISC, 0, req); errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			err = nil // it has another one, or none
		}
	}
	if err != nil {
		return fmt.Errorf("rtnl: set link with index %d %s=%t: %w", index, blackhole, on, noLink(err))
	}
	return nil
}
