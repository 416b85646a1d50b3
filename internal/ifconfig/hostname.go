package ifconfig

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// HostnameInterface is the name of the interface that a file is about: what
// follows "hostname.", if it is letters and a number, as carp1. Other files, the
// copies that editors make among them, are none of ours (netstart, ifstart).
func HostnameInterface(file string) (ifname string, ok bool) {
	ifname, ok = strings.CutPrefix(file, "hostname.")
	driver := strings.TrimRight(ifname, "0123456789")
	letter := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
	rest := strings.TrimLeftFunc(driver, letter)
	return ifname, ok && driver != "" && driver != ifname && rest == "" && isInterface(ifname)
}

// ParseHostname reads data, the content of the hostname.if(5) file of an
// interface. The error joins an [*Error] for each line that has one.
func ParseHostname(ifname, data string) ([]Change, error) {
	file := "hostname." + ifname
	if err := checkUnit(file, ifname); err != nil {
		return nil, err
	}
	var changes []Change
	var errs []error
	for _, ln := range lex(file, data) {
		c, err := parseLine(ifname, ln)
		changes, errs = append(changes, c...), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return changes, nil
}

// parseLine reads a line: parse_hn_line of netstart.
func parseLine(ifname string, ln line) ([]Change, error) {
	switch {
	case ln.err != nil:
		return nil, ln.err
	case ln.shell != "":
		cmd := strings.ReplaceAll(strings.ReplaceAll(ln.shell, `\$if`, ifname), "$if", ifname)
		return []Change{{Pos: ln.pos, Op: Shell, Name: cmd}}, nil
	}
	switch ln.tokens[0].text {
	case "dest":
		c, err := parseDest(ifname, ln.tokens)
		return []Change{c}, err
	case "inet", "inet6":
		return parse(ifname, unpack(ln.tokens))
	}
	return parse(ifname, ln.tokens)
}

// unpack puts the words into a line of the packed form that ifconfig wants. Other
// than netstart it does so before values only, not before ifconfig's own words.
func unpack(in []token) []token {
	at := 1
	if len(in) > 1 && in[1].text == "alias" {
		at = 2
	}
	names := []string{"netmask", "broadcast"}
	if in[0].text == "inet6" {
		names = []string{"prefixlen"}
	}
	if at >= len(in) || isWord(in[at].text) {
		return in
	}
	out := slices.Clone(in[:at+1])
	in = in[at+1:]
	for _, name := range names {
		if len(in) == 0 || isWord(in[0].text) {
			break
		}
		if name != "broadcast" || in[0].text != "NONE" {
			out = append(out, token{name, in[0].pos}, in[0])
		}
		in = in[1:]
	}
	return append(out, in...)
}

func isWord(s string) bool {
	_, ok := words[s]
	return ok
}

// parseDest reads "dest ADDR".
func parseDest(ifname string, tokens []token) (Change, error) {
	c := Change{Pos: tokens[0].pos, Op: Dest}
	if KindOf(ifname) != KindOther {
		return c, &Error{c.Pos, "dest", ifname + " is no point-to-point link"}
	}
	if len(tokens) != 2 {
		return c, &Error{c.Pos, "dest", "expected one address after it"}
	}
	var err error
	if c.Addr, err = netip.ParseAddr(tokens[1].text); err != nil {
		return c, &Error{tokens[1].pos, tokens[1].text, "expected an address"}
	}
	return c, nil
}

// checkUnit refuses a second pfsync interface.
func checkUnit(file, ifname string) error {
	if KindOf(ifname) == KindPfsync && ifname != "pfsync0" {
		return &Error{Pos{File: file}, ifname, "expected pfsync0, which is the only one"}
	}
	return nil
}
