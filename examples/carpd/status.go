package main

import (
	"log/slog"
	"reflect"

	"github.com/gocarp/gocarp/carp"
)

// logStatus logs the state of the groups and the counters that are not 0.
func logStatus(n *carp.Node, log *slog.Logger) {
	s := n.Status()
	var counters []any
	v := reflect.ValueOf(s.Stats)
	for i := range v.NumField() {
		if c := v.Field(i).Uint(); c != 0 {
			counters = append(counters, slog.Uint64(v.Type().Field(i).Tag.Get("json"), c))
		}
	}
	for _, g := range s.Groups {
		log.Info("carpd: status", "interface", s.Interface, "vhid", g.VHID, "state", g.State.String(),
			"since", g.Since, "reason", g.Reason.String(), "demotion", g.Demotion, "held", g.Held,
			"heard", g.Heard.Src, slog.Group("counters", counters...))
	}
}
