package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/control"
	"github.com/gocarp/gocarp/internal/ifconfig"
)

// cmdIfconfig is ifconfig(8).
func (h *host) cmdIfconfig(_ context.Context, args []string, w *control.Writer) error {
	cmd, err := ifconfig.ParseCommand(args)
	if err != nil {
		return err
	}
	switch cmd.Action {
	case ifconfig.Show:
		text, err := h.showInterfaces(cmd.Name)
		fmt.Fprint(w, text)
		return err
	case ifconfig.ShowGroup:
		n, err := h.groups.Count(cmd.Name)
		if err == nil {
			fmt.Fprint(w, ifconfig.GroupStatus(cmd.Name, n))
		}
		return err
	case ifconfig.Demote:
		if cmd.Demote == 0 {
			return nil
		}
		return h.groups.Adjust(cmd.Name, cmd.Demote)
	}
	return h.configure(cmd)
}

// configure changes an interface.
func (h *host) configure(cmd ifconfig.Command) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	words := make([]string, len(cmd.Changes))
	for i, c := range cmd.Changes {
		words[i] = c.String() // without the passphrase
	}
	note := func() { h.journal.add("command", "ifconfig "+cmd.Name+" "+strings.Join(words, " ")) }
	if ifconfig.KindOf(cmd.Name) == ifconfig.KindOther {
		note()
		return configureLink(cmd.Name, cmd.Changes)
	}
	if err := readPassFiles(h.dir, cmd.Changes); err != nil {
		return err
	}
	to, err := h.view().config.With(cmd.Name, cmd.Changes)
	if err != nil {
		return err
	}
	note()
	if _, err := h.change(to, cmd.Name); err != nil {
		return err
	}
	for _, c := range cmd.Changes {
		if v := h.view().vhosts[cmd.Name]; v != nil && c.Op == ifconfig.State {
			return v.dev.node.Force(v.vhid, c.State)
		}
	}
	return nil
}

// showInterfaces is the status of all interfaces of ours, or of one, or of a group,
// or of a driver.
func (h *host) showInterfaces(name string) (string, error) {
	m, err := readMachine()
	if err != nil {
		return "", err
	}
	n := h.view()
	members := h.groups.Members(name)
	driver := func(s string) bool { return strings.TrimRight(s, "0123456789") == name }
	shown := func(s string) bool { return name == "" || s == name || slices.Contains(members, s) }
	if len(members) == 0 && name != "" {
		shown = func(s string) bool { return s == name || driver(s) }
	}
	var b strings.Builder
	for _, i := range n.config.Carp {
		if shown(i.Name) {
			b.WriteString(h.carpStatus(n, i, m).String())
		}
	}
	if p := n.config.Pfsync; p != nil && shown(p.Name) {
		b.WriteString(ifconfig.PfsyncStatus{PfsyncInterface: *p}.String())
	}
	if b.Len() > 0 || name == "" {
		return b.String(), nil
	}
	if l := m.find(name); l != nil {
		return l.String(), nil
	}
	return "", fmt.Errorf("ifconfig: %s: there is no such interface or group", name)
}

// carpStatus is what there is to show of a carp interface.
func (h *host) carpStatus(n running, i ifconfig.CarpInterface, m machine) ifconfig.CarpStatus {
	s := ifconfig.CarpStatus{CarpInterface: i, MAC: h.settings.linkSrc(i)}
	if l := m.find(i.CarpDev); l != nil && s.MAC == (carp.HardwareAddr{}) {
		s.MAC = l.mac
	}
	if v := n.vhosts[i.Name]; v != nil {
		s.State = v.status().State
	}
	return s
}
