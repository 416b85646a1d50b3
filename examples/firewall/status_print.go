package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gocarp/gocarp/pfsync"
)

const (
	labelWidth  = 10 // of the names of the interfaces, with the space after them
	columnWidth = 48 // of the first of two hosts, with the space after it
)

// A section is what a host says of one thing.
type section struct {
	label string // an interface, or empty for the host itself
	lines []string
}

// print prints r for people: what is wrong first, then the hosts side by side.
func (r statusReport) print(w io.Writer) {
	for _, c := range r.Peer.Conflicts {
		fmt.Fprintf(w, "!!! %s\n", c)
	}
	r.Peer.print(w, r.Time)
	var labels []string
	hosts := make([][]section, len(r.Nodes))
	for n, node := range r.Nodes {
		hosts[n] = append([]section{r.heading(node)}, node.sections(r.Time)...)
		for _, s := range hosts[n] {
			if !slices.Contains(labels, s.label) {
				labels = append(labels, s.label)
			}
		}
	}
	for _, label := range labels {
		columns := make([][]string, len(hosts))
		for n, sections := range hosts {
			i := slices.IndexFunc(sections, func(s section) bool { return s.label == label })
			switch {
			case i < 0:
				columns[n] = []string{"-"}
			case len(hosts) > 1:
				columns[n] = wrap(sections[i].lines, columnWidth-2)
			default:
				columns[n] = sections[i].lines
			}
		}
		printColumns(w, label, columns)
	}
}

// printColumns prints lines side by side.
func printColumns(w io.Writer, label string, columns [][]string) {
	for n := 0; slices.ContainsFunc(columns, func(c []string) bool { return n < len(c) }); n++ {
		line := fmt.Sprintf("%-*s", labelWidth, label)
		for i, c := range columns {
			line += strings.Repeat(" ", max(labelWidth+i*columnWidth-utf8.RuneCountInString(line), 0))
			if n < len(c) {
				line += c[n]
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
		label = ""
	}
}

// wrap breaks lines between words. What follows the first line of several is indented.
func wrap(lines []string, width int) []string {
	var out []string
	for _, line := range lines {
		have := ""
		for _, word := range strings.Fields(line) {
			if have != "" && utf8.RuneCountInString(have)+1+utf8.RuneCountInString(word) > width {
				out = append(out, have)
				have = " "
			}
			if have != "" {
				have += " "
			}
			have += word
		}
		out = append(out, have)
	}
	return out
}

// heading says which host is meant, and of when it is.
func (r statusReport) heading(n nodeStatus) section {
	preempt := "no preempt"
	if n.Preempt {
		preempt = "preempt"
	}
	name := n.Name
	switch {
	case len(r.Nodes) == 1:
	case n.Local:
		name += " (this host)"
	case r.Peer.State == peerUp:
		name += fmt.Sprintf(" (%v)", r.Peer.Address)
	default:
		name += fmt.Sprintf(" (%v) AS IT WAS %v AGO", r.Peer.Address, age(r.Time, r.Peer.Answered))
	}
	lines := []string{name, fmt.Sprintf("%s, %s, maintenance %s", n.Role, preempt, n.Maintenance)}
	if n.NotLoaded {
		lines = append(lines, notLoaded)
	}
	return section{"", lines}
}

// print says how the channel is, and what the two hosts do not agree about.
func (p peerReport) print(w io.Writer, now time.Time) {
	since := fmt.Sprintf("since %s, %v", p.Since.Format(time.TimeOnly), age(now, p.Since))
	switch p.State {
	case peerNone:
		fmt.Fprintln(w, "peer: no channel: firewall.toml has no [peer] secret-file")
	case peerNew:
		fmt.Fprintf(w, "peer %v: not asked yet\n", p.Address)
	case peerUp:
		fmt.Fprintf(w, "peer %v: up %s, answered %v ago\n", p.Address, since, age(now, p.Answered))
	default:
		fmt.Fprintf(w, "!!! %s (%s)\n", p.Error, since)
	}
	for _, d := range p.Differences {
		fmt.Fprintf(w, "!!! %s\n", d)
	}
}

// sections are what n is doing, without its name.
func (n nodeStatus) sections(now time.Time) []section {
	var all []section
	for _, i := range n.Interfaces {
		all = append(all, section{i.Name, i.lines(now)})
	}
	if p := n.Pfsync; p != nil {
		all = append(all, section{"pfsync0", p.lines()})
	}
	if s := n.WAN; s != nil {
		all = append(all, section{"wan", s.lines(now)})
	}
	var demoted []string
	for _, d := range n.Demotions {
		where := d.Interface
		if where == "" {
			where = "by hand"
		}
		demoted = append(demoted, fmt.Sprintf("demoted: group %s by %d: %s, %s", d.Group, d.By, where, d.Cause))
	}
	if demoted != nil {
		all = append(all, section{"demotions", demoted})
	}
	return all
}

func (i interfaceStatus) lines(now time.Time) []string {
	state := i.State
	if !i.Since.IsZero() {
		state += fmt.Sprintf(" for %v", age(now, i.Since))
	}
	if i.Leaving {
		state += ", waiting for a successor"
	}
	if i.Down {
		state += ", down"
	}
	out := []string{state}
	if !i.Since.IsZero() {
		out = append(out, i.Reason)
	}
	groups := slices.DeleteFunc(slices.Clone(i.Groups), func(g string) bool { return g == "carp" })
	about := fmt.Sprintf("vhid %d on %s, advbase %d advskew %d demotion %d%s", i.VHID, i.CarpDev, i.AdvBase, i.AdvSkew, i.Demotion,
		strings.Join(append([]string{""}, groups...), ", group "))
	out = append(out, strings.Trim(addresses(i), "[]"), about)
	if h := i.Heard; !h.At.IsZero() {
		out = append(out, fmt.Sprintf("heard %v %v ago: advbase %d advskew %d demote %d", h.Src, age(now, h.At), h.AdvBase, h.AdvSkew, h.Demote))
	}
	if r := i.Rejected; r != nil {
		out = append(out, fmt.Sprintf("refused %d packets, the last of %v %v ago: %s", r.Count, r.Src, age(now, r.At), r.Error))
	}
	return append(out, errorLine(i.Error)...)
}

func (p *pfsyncStatus) lines() []string {
	state := "down"
	switch {
	case p.Up && p.Link == "down":
		state = "no link"
	case p.Up && !p.Synced:
		state = "bulk update outstanding"
	case p.Up:
		state = "in sync"
	}
	line := fmt.Sprintf("%s: %s, %d states", p.SyncDev, state, p.States)
	switch p.Tables {
	case "":
	case pfsync.Different.String():
		line += fmt.Sprintf(", %d differ from the peer's", p.Differ)
	case pfsync.Identical.String():
		line += ", identical with the peer's"
	default:
		line += ", not compared with the peer's yet"
	}
	return append([]string{line}, errorLine(p.Error)...)
}

// errorLine is an error on one line, or none.
func errorLine(text string) []string {
	if text == "" {
		return nil
	}
	return []string{"error: " + strings.ReplaceAll(text, "\n", "; ")}
}

// age is how long ago t was, as short as a person would say it.
func age(now, t time.Time) time.Duration {
	d := now.Sub(t)
	if d < time.Minute {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
