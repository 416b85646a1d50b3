package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carpnet"
	"github.com/gocarp/gocarp/internal/ifconfig"
)

// A device is a real interface with the virtual hosts on it.
type device struct {
	name   string
	node   *carp.Node
	groups []netip.Addr // multicast groups that it listens to
	cancel context.CancelFunc
	done   chan struct{} // closed when the node has ended
	err    error         // of its end, once it was told to end
}

// openDevice starts a node for an interface, without virtual hosts.
func (h *host) openDevice(name string, peers []netip.Addr, ctl sysctls) (*device, error) {
	d := &device{name: name, done: make(chan struct{}), groups: []netip.Addr{carp.Group4, carp.Group6}}
	for _, p := range peers {
		if p.IsMulticast() && !slices.Contains(d.groups, p) {
			d.groups = append(d.groups, p)
		}
	}
	conn, err := carpnet.Listen(carpnet.Config{Interface: name, Groups: d.groups, Virtual: h.isVirtual, Logger: h.log})
	if err != nil {
		return nil, err
	}
	d.node, err = carp.NewNode(carp.NodeConfig{
		Interface: name,
		Transport: conn,
		Links:     conn.Links(),
		Suspended: carpnet.Suspended,
		Logger:    h.carpLog,
		Hooks: carp.Hooks{
			StateChanged:  h.stateChanged,
			PacketDropped: func(p carp.Packet, err error) { h.packetDropped(name, p, err) },
		},
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(d.done)
		err := d.node.Run(ctx)
		if ctx.Err() == nil {
			h.fail(fmt.Errorf("firewall: %s: %w", name, err))
		} else {
			d.err = err
		}
	}()
	if !ctl.allow {
		err = d.node.SetAllow(false)
	}
	return d, err
}

// wait waits for the end of the node, which is told to end by cancel.
func (d *device) wait() error {
	<-d.done
	return d.err
}

// device is the device that i lies above, opened if it has to be.
func (h *host) device(i ifconfig.CarpInterface, target ifconfig.Config) (*device, error) {
	n := h.view()
	d := n.devices[i.CarpDev]
	if d == nil {
		var peers []netip.Addr
		for _, other := range target.Carp {
			if other.CarpDev == i.CarpDev && other.Peer.IsValid() {
				peers = append(peers, other.Peer)
			}
		}
		var err error
		if d, err = h.openDevice(i.CarpDev, peers, n.sysctls); err != nil {
			return nil, err
		}
		h.set(func(n *running) { n.devices[d.name] = d })
	}
	return d, d.hears(i)
}

// hears reports why i cannot hear its peers, if it cannot: a node's groups are chosen
// when it starts.
func (d *device) hears(i ifconfig.CarpInterface) error {
	if p := i.Peer; p.IsValid() && p.IsMulticast() && !slices.Contains(d.groups, p) {
		return wrong(i.Interface, ifconfig.CarpPeer, p.String(),
			"expected a group that "+d.name+" listened to from the start: put it into hostname."+i.Name+" and start again")
	}
	return nil
}

// dropDevice ends the device if nothing is left on it.
func (h *host) dropDevice(d *device) error {
	for _, v := range h.view().vhosts {
		if v.dev == d {
			return nil
		}
	}
	h.set(func(n *running) { delete(n.devices, d.name) })
	d.cancel()
	return d.wait()
}
