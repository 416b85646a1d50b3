package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gocarp/gocarp/internal/control"
)

const (
	// watchPause is the least time between two reports of "status -watch", and
	// watchAgain the most.
	watchPause = 200 * time.Millisecond
	watchAgain = 5 * time.Second
)

// cmdStatus is "status".
func (h *host) cmdStatus(ctx context.Context, args []string, w *control.Writer) error {
	fs := flag.NewFlagSet("status", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	asJSON, watch := fs.Bool("json", false, ""), fs.Bool("watch", false, "")
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 {
		return usageError("status: want -json, -watch, or nothing")
	}
	for {
		changed := h.journal.next()
		node, err := h.status(ctx)
		if err != nil {
			return err
		}
		r := statusReport{Time: time.Now(), Nodes: []nodeStatus{node}}
		if *asJSON {
			if err := json.NewEncoder(w).Encode(r); err != nil {
				return err
			}
		} else {
			r.print(w)
		}
		if !*watch {
			return nil
		}
		w.Flush()
		select {
		case <-changed:
		case <-time.After(watchAgain):
		case <-ctx.Done():
			return nil
		}
		select {
		case <-time.After(watchPause): // what happens together is reported together
		case <-ctx.Done():
			return nil
		}
		if !*asJSON {
			fmt.Fprintln(w)
		}
	}
}

// print prints r for people.
func (r statusReport) print(w io.Writer) {
	for _, n := range r.Nodes {
		preempt := "no preempt"
		if n.Preempt {
			preempt = "preempt"
		}
		fmt.Fprintf(w, "%s: %s, %s, maintenance %s\n", n.Name, n.Role, preempt, n.Maintenance)
		for _, i := range n.Interfaces {
			i.print(w, r.Time)
		}
		if p := n.Pfsync; p != nil {
			p.print(w)
		}
		for _, d := range n.Demotions {
			where := d.Interface
			if where == "" {
				where = "by hand"
			}
			fmt.Fprintf(w, "  demoted: group %s by %d: %s, %s\n", d.Group, d.By, where, d.Cause)
		}
	}
}

func (i interfaceStatus) print(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "  %-7s %d@%s %v", i.Name, i.VHID, i.CarpDev, i.State)
	if i.Leaving {
		fmt.Fprint(w, ", waiting for a successor")
	}
	if i.Down {
		fmt.Fprint(w, ", down")
	}
	if !i.Since.IsZero() {
		fmt.Fprintf(w, " for %v: %v", age(now, i.Since), i.Reason)
	}
	addrs := make([]string, len(i.Addresses))
	for n, a := range i.Addresses {
		addrs[n] = a.String()
	}
	groups := slices.DeleteFunc(slices.Clone(i.Groups), func(g string) bool { return g == "carp" })
	fmt.Fprintf(w, "\n          %s, advbase %d advskew %d demotion %d%s\n", strings.Join(addrs, " "), i.AdvBase, i.AdvSkew, i.Demotion,
		strings.Join(append([]string{""}, groups...), ", group "))
	if h := i.Heard; !h.At.IsZero() {
		fmt.Fprintf(w, "          heard %v %v ago: advbase %d advskew %d demote %d\n", h.Src, age(now, h.At), h.AdvBase, h.AdvSkew, h.Demote)
	}
	if r := i.Rejected; r != nil {
		fmt.Fprintf(w, "          refused %d packets, the last of %v %v ago: %s\n", r.Count, r.Src, age(now, r.At), r.Error)
	}
	if i.Error != "" {
		fmt.Fprintf(w, "          error: %s\n", strings.ReplaceAll(i.Error, "\n", "; "))
	}
}

func (p *pfsyncStatus) print(w io.Writer) {
	state := "down"
	switch {
	case p.Up && p.Link == "down":
		state = "no link"
	case p.Up && !p.Synced:
		state = "bulk update outstanding"
	case p.Up:
		state = "in sync"
	}
	fmt.Fprintf(w, "  pfsync0 %s: %s, %d states\n", p.SyncDev, state, p.States)
	if p.Error != "" {
		fmt.Fprintf(w, "          error: %s\n", strings.ReplaceAll(p.Error, "\n", "; "))
	}
}

// age is how long ago t was, as short as a person would say it.
func age(now, t time.Time) time.Duration {
	d := now.Sub(t)
	if d < time.Minute {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
