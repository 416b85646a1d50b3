package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/internal/ifconfig"
	"github.com/gocarp/gocarp/vip"
)

const (
	// refresh is how often a master announces its addresses again, for neighbours
	// that heard another one last: after a split brain, for example.
	refresh = 5 * time.Second

	// lostAddresses is the demotion while addresses cannot be kept on.
	lostAddresses      = "lost addresses"
	lostAddressesValue = 240

	// handoverTimeout is more than a master waits for its successor.
	handoverTimeout = carp.DefaultLinger + 4*time.Second
)

// A vhost is a carp interface that has all it takes: a virtual host, with its
// addresses.
type vhost struct {
	name    string // as carp1
	vhid    uint8
	dev     *device
	subject string // as 1@em0
	member  *demote.Member
	addrs   *vip.Applier
	forget  context.CancelFunc // ends the keeping of the addresses
	kept    chan struct{}      // closed when it has ended

	rejected atomic.Pointer[rejection] // nil: nothing
}

// openVhost makes the virtual host of i and has it take part.
func (h *host) openVhost(i ifconfig.CarpInterface, target ifconfig.Config, m machine) error {
	d, err := h.device(i, target)
	if err != nil {
		return err
	}
	n := h.view()
	v := &vhost{name: i.Name, vhid: i.VHID, dev: d, member: n.members[i.Name], kept: make(chan struct{}),
		subject: fmt.Sprintf("%d@%s", i.VHID, d.name)}
	g := h.settings.group(i, m, n.sysctls)
	v.addrs, err = vip.Open(vip.Config{
		Interface: i.CarpDev, Addresses: g.Addresses,
		Mode: h.settings.mac, MAC: vip.HardwareAddr(g.LinkSrc),
		RepeatAnnouncements: refresh, Logger: h.log,
		Fault: func(err error) {
			by := 0
			if err != nil {
				by = lostAddressesValue
				h.log.Error("firewall: cannot keep the addresses", "interface", i.Name, "err", err)
			}
			v.member.Set(lostAddresses, by)
		},
	})
	if err != nil {
		return errors.Join(err, h.dropDevice(d))
	}
	// The addresses are kept in place for as long as the virtual host is there, also
	// while it bows out; without somebody to keep them it must not run.
	var ctx context.Context
	ctx, v.forget = context.WithCancel(context.Background())
	go func() {
		defer close(v.kept)
		if err := v.addrs.Run(ctx); ctx.Err() == nil {
			h.fail(fmt.Errorf("firewall: %s: %w", i.Name, err))
		}
	}()
	h.subjects.Store(v.subject, v)
	g.Addrs, g.Demote = h.addrs(v), v.member
	if err := d.node.Add(g); err != nil {
		return errors.Join(err, h.letGo(v), h.dropDevice(d))
	}
	h.set(func(n *running) { n.vhosts[v.name] = v })
	return nil
}

// letGo gives up the addresses, and the demotions that are about this virtual host.
// The node must have left it.
func (h *host) letGo(v *vhost) error {
	v.forget()
	<-v.kept
	h.subjects.Delete(v.subject)
	h.forgiveHooks(v)
	v.member.Set(lostAddresses, 0)
	return v.addrs.Close()
}

// closeVhost has the virtual host hand over, and removes it.
func (h *host) closeVhost(v *vhost) error {
	err := v.dev.node.Down(v.vhid)
	for end := time.Now().Add(handoverTimeout); err == nil && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s := v.status(); s.State == carp.Init && !s.Held {
			break
		}
	}
	err = errors.Join(err, v.dev.node.Remove(v.vhid), h.letGo(v))
	h.set(func(n *running) { delete(n.vhosts, v.name) })
	return errors.Join(err, h.dropDevice(v.dev))
}

// status is what the virtual host is at the moment.
func (v *vhost) status() carp.GroupStatus {
	all := v.dev.node.Status().Groups
	if i := slices.IndexFunc(all, func(g carp.GroupStatus) bool { return g.VHID == v.vhid }); i >= 0 {
		return all[i]
	}
	return carp.GroupStatus{VHID: v.vhid}
}

// update changes what a virtual host is made of, but for its vhid and its device.
func (v *vhost) update(to carp.GroupConfig) error {
	return v.dev.node.Update(v.vhid, func(g *carp.GroupConfig) {
		if g.AdvBase != to.AdvBase {
			g.Linger = 0 // the node chooses again
		}
		g.AdvBase, g.AdvSkew, g.Preempt = to.AdvBase, to.AdvSkew, to.Preempt
		g.Secret, g.Addresses, g.Peers = to.Secret, to.Addresses, to.Peers
		g.LLAddr, g.ParentLLAddr = to.LLAddr, to.ParentLLAddr
	})
}
