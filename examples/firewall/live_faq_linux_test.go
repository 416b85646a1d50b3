package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// A typed line of the script, and what it prints.
type typed struct {
	at     int // line of the script
	host   string
	line   string
	repeat bool // until it prints what is wanted
	want   string
}

// readScript reads testdata/faq.txt.
func readScript(t *testing.T) []typed {
	t.Helper()
	data, err := os.ReadFile("testdata/faq.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []typed
	lines := strings.SplitAfter(string(data), "\n")
	for i := 0; i < len(lines); i++ {
		host, rest, ok := strings.Cut(lines[i], " ")
		c := typed{at: i + 1, line: rest, repeat: strings.HasSuffix(host, "?")}
		if c.host = strings.TrimRight(host, "#?"); !ok || c.host == "" || c.host == host {
			continue
		}
		for strings.HasSuffix(c.line, "\\\n") {
			i++
			c.line = strings.TrimSuffix(c.line, "\\\n") + lines[i]
		}
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
			c.want += lines[i]
		}
		all = append(all, c)
	}
	return all
}

// TestFAQ types the commands of the FAQ into a live pair.
func TestFAQ(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.start("fw1")
	p.start("fw2")
	for _, c := range readScript(t) {
		where := fmt.Sprintf("faq.txt:%d: %s# %s", c.at, c.host, strings.Join(strings.Fields(c.line), " "))
		if !c.repeat {
			if got := p.do(c.host, c.line); got != c.want {
				t.Fatalf("%s: prints\n%s\nwant\n%s", where, got, c.want)
			}
			continue
		}
		wanted := slices.Collect(strings.Lines(c.want))
		p.await(where, func() bool {
			got := slices.Collect(strings.Lines(p.do(c.host, c.line)))
			return !slices.ContainsFunc(wanted, func(l string) bool { return !slices.Contains(got, l) })
		})
	}

	// All of it can be looked up later, but for the passphrases.
	why := p.do("fw2", "why 1000")
	if want := "command: ifconfig carp1 vhid 1 carpdev em0 pass [secret] advskew 128 inet 172.16.0.100 netmask 0xffffff00 broadcast 172.16.0.255\n"; !strings.Contains(why, want) {
		t.Errorf("%q is not in\n%s", want, why)
	}
	for _, line := range []string{"why 1000", "ifconfig", "status", "status -json"} {
		if strings.Contains(p.do("fw2", line), "passwd") {
			t.Errorf("%s has a passphrase", line)
		}
	}
}

// The script leaves out none of the commands that the grammar is tested with, which
// are all of that page.
func TestFAQComplete(t *testing.T) {
	data, err := os.ReadFile("../../internal/ifconfig/testdata/faq.txt")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, c := range readScript(t) {
		have = append(have, strings.Join(strings.Fields(c.line), " "))
	}
	n := 0
	for line := range strings.Lines(strings.ReplaceAll(string(data), "\\\n", "")) {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue
		}
		n++
		if command = strings.Join(strings.Fields(command), " "); !slices.Contains(have, command) {
			t.Errorf("nobody types %q", command)
		}
	}
	if n < 30 {
		t.Errorf("only %d commands", n)
	}
}

// faqFile is a file of that page.
func faqFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("../../internal/ifconfig/testdata/faq.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(data), "\n> "+name+"\n")
	text, _, end := strings.Cut(rest, "----\n")
	if !ok || !end {
		t.Fatalf("faq.txt has no file %s", name)
	}
	return text
}
