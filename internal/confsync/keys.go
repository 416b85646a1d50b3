package confsync

import (
	"slices"
	"strings"
)

// A keyLine is a line of a file of keys, sysctl.conf or firewall.toml, in which each
// value stands on one line.
type keyLine struct {
	text  string // with its end
	table string // it belongs to; empty at the top
	key   string // with its table; empty: a comment, a blank line, or the head of a table
}

func parseKeys(data string) []keyLine {
	var all []keyLine
	table := ""
	for text := range strings.Lines(data) {
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		line := strings.TrimSpace(text)
		l := keyLine{text: text}
		name, _, assigns := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(line, "["):
			head, _, _ := strings.Cut(line[1:], "]")
			table = bare(head)
		case line != "" && line[0] != '#' && assigns:
			if l.key = bare(name); table != "" {
				l.key = table + "." + l.key
			}
		}
		l.table = table
		all = append(all, l)
	}
	return all
}

// bare is a name with dots, without the blanks that may stand around them.
func bare(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
	}
	return strings.Join(parts, ".")
}

// mergeKeys is theirs, with the lines of ours for the keys that are kept: in the place of
// theirs, or at the end of their table.
func mergeKeys(theirs, ours string, keeps func(key string) bool) string {
	out := parseKeys(theirs)
	kept := slices.DeleteFunc(parseKeys(ours), func(l keyLine) bool { return l.key == "" || !keeps(l.key) })
	replaced := func(l keyLine) bool {
		return slices.ContainsFunc(kept, func(k keyLine) bool { return k.key == l.key && k.table == l.table })
	}
	out = slices.DeleteFunc(out, func(l keyLine) bool { return l.key != "" && keeps(l.key) && !replaced(l) })
	for _, k := range kept {
		at := slices.IndexFunc(out, func(l keyLine) bool { return l.key == k.key && l.table == k.table })
		if at >= 0 {
			out[at] = k
			continue
		}
		out = insert(out, k)
	}
	// A table that has nothing left but its name was all the sender's own.
	var b strings.Builder
	for i, l := range out {
		if emptied(out, i, keeps) {
			continue
		}
		b.WriteString(l.text)
	}
	return b.String()
}

// insert puts a line after the last one of its table, which it makes if there is none.
func insert(out []keyLine, k keyLine) []keyLine {
	last := -1
	for i, l := range out {
		head := l.key == "" && strings.HasPrefix(strings.TrimSpace(l.text), "[")
		if l.table == k.table && (l.key != "" || head) {
			last = i
		}
	}
	switch {
	case last >= 0 || k.table == "":
		return slices.Insert(out, last+1, k)
	case len(out) > 0 && strings.TrimSpace(out[len(out)-1].text) != "":
		out = append(out, keyLine{text: "\n", table: out[len(out)-1].table})
	}
	return append(out, keyLine{text: "[" + k.table + "]\n", table: k.table}, k)
}

// emptied reports whether line i is the head of a table that a node keeps for itself and
// that has no key.
func emptied(all []keyLine, i int, keeps func(key string) bool) bool {
	l := all[i]
	if l.key != "" || !strings.HasPrefix(strings.TrimSpace(l.text), "[") || !keeps(l.table) {
		return false
	}
	return !slices.ContainsFunc(all, func(o keyLine) bool { return o.key != "" && o.table == l.table })
}
