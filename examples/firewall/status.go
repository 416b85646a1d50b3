package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/internal/ifconfig"
	"github.com/gocarp/gocarp/pfsync"
)

// A nodeStatus is what a host is doing.
type nodeStatus struct {
	Name        string            `json:"name"`
	Local       bool              `json:"local"`       // it is the one that was asked
	Role        string            `json:"role"`        // MASTER, BACKUP, INIT, or MIXED
	Maintenance string            `json:"maintenance"` // off, on, or persistent
	Preempt     bool              `json:"preempt"`
	NotLoaded   bool              `json:"not_loaded,omitempty"` // "sync" stored files that do not count yet
	Interfaces  []interfaceStatus `json:"interfaces"`
	Groups      []groupStatus     `json:"groups"` // those of all carp interfaces
	Demotions   []demotionStatus  `json:"demotions"`
	Pfsync      *pfsyncStatus     `json:"pfsync,omitempty"`
	WAN         *wanStatus        `json:"wan,omitempty"`
}

// An interfaceStatus is what a carp interface is doing.
type interfaceStatus struct {
	Name      string         `json:"name"`
	VHID      uint8          `json:"vhid"`
	CarpDev   string         `json:"carpdev"`
	State     string         `json:"state"`             // MASTER, BACKUP or INIT
	Down      bool           `json:"down,omitempty"`    // by hand
	Leaving   bool           `json:"leaving,omitempty"` // bowed out, waiting for a successor
	Since     time.Time      `json:"since,omitzero"`
	Reason    string         `json:"reason"`
	AdvBase   uint8          `json:"advbase"`
	AdvSkew   uint8          `json:"advskew"`
	Demotion  int            `json:"demotion"` // all that is below, for its groups
	Held      bool           `json:"held"`     // the addresses are here
	Addresses []netip.Prefix `json:"addresses"`
	Groups    []string       `json:"groups"`
	Heard     carp.Heard     `json:"heard,omitzero"`     // the last advert of another host
	Rejected  *rejection     `json:"rejected,omitempty"` // the last packet that was refused
	Error     string         `json:"error,omitempty"`    // what went wrong with it last
}

// A groupStatus is what "ifconfig -g" shows.
type groupStatus struct {
	Name     string `json:"name"`
	Demotion int    `json:"demotion"`
}

// A demotionStatus is one reason to give way.
type demotionStatus struct {
	Group     string `json:"group"`
	Interface string `json:"interface,omitempty"` // where it happened; "host": to the whole of it
	Cause     string `json:"cause"`
	By        int    `json:"by"`
}

// A pfsyncStatus is what pfsync0 is doing.
type pfsyncStatus struct {
	Up       bool   `json:"up"`
	SyncDev  string `json:"syncdev"`
	Link     string `json:"link,omitempty"` // up or down
	Synced   bool   `json:"synced"`         // no bulk update is outstanding
	Demotion int    `json:"demotion"`
	States   int    `json:"states"`
	Tables   string `json:"tables,omitempty"` // with pfsync.converge: identical, different, or unknown
	Differ   int    `json:"differ,omitempty"` // states that did, when last compared
	Error    string `json:"error,omitempty"`
}

// status is what this host is doing.
func (h *host) status(ctx context.Context) (nodeStatus, error) {
	n := h.view()
	s := nodeStatus{Local: true, Preempt: n.sysctls.preempt, Maintenance: "off", Interfaces: []interfaceStatus{}, Demotions: []demotionStatus{}}
	s.Name, _ = os.Hostname()
	s.NotLoaded = h.conf.stored.Load()
	switch on, persistent := h.inMaintenance(); {
	case on && persistent:
		s.Maintenance = "persistent"
	case on:
		s.Maintenance = "on"
	}
	for _, i := range n.config.Carp {
		s.Interfaces = append(s.Interfaces, n.interfaceStatus(i))
	}
	s.Role = role(s.Interfaces)
	for _, name := range h.groups.Names() {
		if count, err := h.groups.Count(name); err == nil {
			s.Groups = append(s.Groups, groupStatus{name, count})
		}
	}
	s.Demotions = h.demotions(n)
	s.WAN = h.wanStatus()
	if n.config.Pfsync == nil {
		return s, nil
	}
	var err error
	s.Pfsync, err = h.pfsyncStatus(ctx, n)
	return s, err
}

func (n running) interfaceStatus(i ifconfig.CarpInterface) interfaceStatus {
	s := interfaceStatus{
		Name: i.Name, VHID: i.VHID, CarpDev: i.CarpDev, Down: i.Down,
		State: carp.Init.String(), Reason: carp.Reason(0).String(),
		AdvBase: i.AdvBase, AdvSkew: i.AdvSkew, Addresses: []netip.Prefix{}, Groups: i.Groups,
	}
	for _, a := range i.Addresses {
		s.Addresses = append(s.Addresses, a.Prefix)
	}
	if err := n.broken[i.Name]; err != nil {
		s.Error = err.Error()
	}
	if v := n.vhosts[i.Name]; v != nil {
		g := v.status()
		s.State, s.Leaving, s.Since, s.Reason = g.State.String(), g.Leaving, g.Since, g.Reason.String()
		s.Demotion, s.Held, s.Heard, s.Rejected = g.Demotion, g.Held, g.Heard, v.rejected.Load()
	}
	return s
}

// role is what the host is as a whole.
func role(all []interfaceStatus) string {
	var states []string
	for _, i := range all {
		if !i.Down && !slices.Contains(states, i.State) {
			states = append(states, i.State)
		}
	}
	master, backup := slices.Contains(states, carp.Master.String()), slices.Contains(states, carp.Backup.String())
	switch {
	case master && len(states) > 1:
		return "MIXED"
	case master:
		return carp.Master.String()
	case backup:
		return carp.Backup.String()
	}
	return carp.Init.String()
}

// demotions are all reasons to give way, each once.
func (h *host) demotions(n running) []demotionStatus {
	out := []demotionStatus{}
	members := []*demote.Member{h.self}
	for _, i := range n.config.Carp {
		members = append(members, n.members[i.Name])
	}
	if p := n.config.Pfsync; p != nil {
		members = append(members, n.members[p.Name])
	}
	for _, m := range members {
		if m == nil {
			continue // it is about to be destroyed
		}
		for _, c := range m.Causes() {
			d := demotionStatus{c.Group, c.Interface, c.Name, c.N}
			if !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	return out
}

func (h *host) pfsyncStatus(ctx context.Context, n running) (*pfsyncStatus, error) {
	s := &pfsyncStatus{SyncDev: n.config.Pfsync.SyncDev, Up: n.sync != nil, States: h.table.Len()}
	if err := n.broken[n.config.Pfsync.Name]; err != nil {
		s.Error = err.Error()
	}
	if n.sync == nil {
		return s, nil
	}
	p, err := n.sync.node.Status(ctx)
	if errors.Is(err, pfsync.ErrStopped) {
		s.Up = false
		return s, nil
	}
	s.Link, s.Synced, s.Demotion = p.Link.String(), p.SyncOK, p.Demotion
	s.Tables, s.Differ = agreement(p.Converge)
	return s, err
}
