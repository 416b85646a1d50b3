package main

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/control"
	"github.com/gocarp/gocarp/pfsync"
)

// A statLine is a line of "netstat -s": words with a place for the number, and what
// makes them a plural. Deeper lines are about the ones above.
type statLine struct {
	deep   bool
	before string
	plural string
	after  string
	n      uint64
}

// cmdNetstat is netstat(1) -s for both protocols, in OpenBSD's words. What OpenBSD
// does not count comes last.
func (h *host) cmdNetstat(ctx context.Context, args []string, w *control.Writer) error {
	var proto string
	switch {
	case len(args) == 1 && args[0] == "-s":
	case len(args) == 3 && args[0] == "-s" && args[1] == "-p", len(args) == 2 && args[0] == "-sp":
		proto = args[len(args)-1]
	default:
		return usageError("netstat: want -s, or -s -p and carp or pfsync")
	}
	switch proto {
	case "":
		h.printCarpStats(w)
		return h.printPfsyncStats(ctx, w)
	case "carp":
		h.printCarpStats(w)
		return nil
	case "pfsync":
		return h.printPfsyncStats(ctx, w)
	}
	return usageError(fmt.Sprintf("netstat: -p %q: want carp or pfsync", proto))
}

// carpStats are the counters of all nodes together.
func (h *host) carpStats() carp.Stats {
	var sum carp.Stats
	to := reflect.ValueOf(&sum).Elem()
	for _, d := range h.view().devices {
		from := reflect.ValueOf(d.node.Status().Stats)
		for i := range from.NumField() {
			to.Field(i).SetUint(to.Field(i).Uint() + from.Field(i).Uint())
		}
	}
	return sum
}

// pfsyncStats are the counters of pfsync0, zero while it is not up.
func (h *host) pfsyncStats(ctx context.Context) (pfsync.Stats, error) {
	y := h.view().sync
	if y == nil {
		return pfsync.Stats{}, nil
	}
	s, err := y.node.Status(ctx)
	return s.Stats, err
}

func (h *host) printCarpStats(w io.Writer) {
	s := h.carpStats()
	printStats(w, "carp", []statLine{
		{before: "packet", plural: "s", after: " received (IPv4)", n: s.InPackets},
		{before: "packet", plural: "s", after: " received (IPv6)", n: s.InPackets6},
		{true, "packet", "s", " discarded for bad interface", s.BadIf},
		{true, "packet", "s", " discarded for wrong TTL", s.BadTTL},
		{true, "packet", "s", " shorter than header", 0},
		{true, "discarded for bad checksum", "s", "", s.BadSum},
		{true, "discarded packet", "s", " with a bad version", s.BadVersion},
		{true, "discarded because packet too short", "", "", s.BadLen},
		{true, "discarded for bad authentication", "", "", s.BadAuth},
		{true, "discarded for unknown vhid", "", "", s.BadVHID},
		{true, "discarded because of a bad address list", "", "", 0},
		{true, "discarded for bad type", "", "", s.BadType},
		{true, "discarded from a source that is not allowed", "", "", s.BadPeer},
		{true, "discarded because our own came back", "", "", s.Loops},
		{true, "discarded because they were replayed", "", "", s.Replays},
		{true, "discarded while allow was 0", "", "", s.Ignored},
		{before: "packet", plural: "s", after: " sent (IPv4)", n: s.OutPackets},
		{before: "packet", plural: "s", after: " sent (IPv6)", n: s.OutPackets6},
		{true, "send failed due to mbuf memory error", "", "", s.OutNoMem},
		{true, "send error", "s", "", s.OutErrors},
		{before: "transition", plural: "s", after: " to master", n: s.Preempt},
		{true, "failed for want of the addresses", "", "", s.Refused},
		{before: "time", plural: "s", after: " this host stood still", n: s.Stalls},
	})
}

func (h *host) printPfsyncStats(ctx context.Context, w io.Writer) error {
	s, err := h.pfsyncStats(ctx)
	if err != nil {
		return err
	}
	printStats(w, "pfsync", []statLine{
		{before: "packet", plural: "s", after: " received (IPv4)", n: s.InPackets},
		{before: "packet", plural: "s", after: " received (IPv6)", n: s.InPackets6},
		{true, "packet", "s", " discarded for bad interface", s.BadIf},
		{true, "packet", "s", " discarded for bad ttl", s.BadTTL},
		{true, "packet", "s", " shorter than header", s.HdrDrops},
		{true, "packet", "s", " discarded for bad version", s.BadVersion},
		{true, "packet", "s", " discarded for bad HMAC", s.BadAuth},
		{true, "packet", "s", " discarded for bad action", s.BadAction},
		{true, "packet", "s", " discarded for short packet", s.BadLen},
		{true, "state", "s", " discarded for bad values", s.BadValue},
		{true, "stale state", "s", "", s.Stale},
		{true, "failed state lookup/insert", "s", "", s.BadState},
		{true, "packet", "s", " discarded from a source that is not allowed", s.BadPeer},
		{before: "packet", plural: "s", after: " sent (IPv4)", n: s.OutPackets},
		{before: "packet", plural: "s", after: " sent (IPv6)", n: s.OutPackets6},
		{true, "send failed due to mbuf memory error", "", "", s.OutNoMem},
		{true, "send error", "", "", s.OutErrors},
		{before: "bulk update", plural: "s", after: " asked for", n: s.BulkStarted},
		{true, "came to its end", "", "", s.BulkDone},
		{true, "given up", "", "", s.BulkFailed},
		{before: "bulk update", plural: "s", after: " sent", n: s.BulkSent},
	})
	return nil
}

func printStats(w io.Writer, proto string, lines []statLine) {
	var b strings.Builder
	b.WriteString(proto + ":\n")
	for _, l := range lines {
		if l.n == 1 {
			l.plural = ""
		}
		indent := "\t"
		if l.deep {
			indent = "\t\t"
		}
		fmt.Fprintf(&b, "%s%d %s%s%s\n", indent, l.n, l.before, l.plural, l.after)
	}
	io.WriteString(w, b.String())
}
