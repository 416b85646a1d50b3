package main

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/gocarp/gocarp/carp"
)

// writeMetrics writes what there is to count, in the text format of Prometheus.
func (h *host) writeMetrics(ctx context.Context, w io.Writer) {
	var b strings.Builder
	r, err := h.report(ctx)
	if err != nil {
		fmt.Fprintf(w, "# %v\n", err)
		return
	}
	s := r.Nodes[0]
	head := func(name, kind, help string) { fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	yes := map[bool]int{true: 1}

	head("firewall_maintenance", "gauge", "Whether this host is in maintenance.")
	fmt.Fprintf(&b, "firewall_maintenance %d\n", yes[s.Maintenance != "off"])
	head("carp_state", "gauge", "1 for the state that the carp interface is in.")
	for _, i := range s.Interfaces {
		for st := carp.Init; st <= carp.Master; st++ {
			fmt.Fprintf(&b, "carp_state{interface=%q,vhid=\"%d\",carpdev=%q,state=\"%v\"} %d\n", i.Name, i.VHID, i.CarpDev, st, yes[i.State == st.String()])
		}
	}
	head("carp_demotion", "gauge", "The demotion that the carp interface advertises.")
	for _, i := range s.Interfaces {
		fmt.Fprintf(&b, "carp_demotion{interface=%q} %d\n", i.Name, i.Demotion)
	}
	head("carp_group_demotion", "gauge", "The demotion of the interface group.")
	for _, g := range s.Groups {
		fmt.Fprintf(&b, "carp_group_demotion{group=%q} %d\n", g.Name, g.Demotion)
	}

	r.writePeerMetrics(&b)
	n := h.view()
	var devices []carp.Status
	for _, d := range n.devices {
		devices = append(devices, d.node.Status())
	}
	slices.SortFunc(devices, func(x, y carp.Status) int { return strings.Compare(x.Interface, y.Interface) })
	stats := reflect.TypeFor[carp.Stats]()
	for i := range stats.NumField() {
		name := "carp_" + stats.Field(i).Tag.Get("json") + "_total"
		head(name, "counter", "OpenBSD's counter of this name, or one of ours.")
		for _, d := range devices {
			fmt.Fprintf(&b, "%s{carpdev=%q} %d\n", name, d.Interface, reflect.ValueOf(d.Stats).Field(i).Uint())
		}
	}

	if p := s.Pfsync; p != nil {
		head("pfsync_states", "gauge", "The number of states in the table.")
		fmt.Fprintf(&b, "pfsync_states %d\n", p.States)
		head("pfsync_synced", "gauge", "Whether no bulk update is outstanding.")
		fmt.Fprintf(&b, "pfsync_synced %d\n", yes[p.Up && p.Synced])
	}
	if y := n.sync; y != nil {
		status, err := y.node.Status(ctx)
		if err != nil {
			return
		}
		v := reflect.ValueOf(status.Stats)
		for i := range v.NumField() {
			if v.Field(i).Kind() == reflect.Uint64 { // the others are histograms
				name := "pfsync_" + v.Type().Field(i).Tag.Get("json") + "_total"
				head(name, "counter", "OpenBSD's counter of this name, or one of ours.")
				fmt.Fprintf(&b, "%s %d\n", name, v.Field(i).Uint())
			}
		}
	}
	io.WriteString(w, b.String())
}
