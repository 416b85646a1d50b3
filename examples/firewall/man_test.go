package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/ifconfig"
)

// page is a manual page as mdoc(7), with the dashes that stand for themselves.
func page(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("man", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// usageOf is the usage of another program, which is a package of its own.
func usageOf(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", name, "options.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "const usage = `")
	text, _, ok := strings.Cut(rest, "`\n")
	if !ok {
		t.Fatalf("%s has no usage", name)
	}
	return text
}

// TestManFlags: each flag that a program explains is in its manual page, and the other
// way round.
func TestManFlags(t *testing.T) {
	for name, text := range map[string]string{
		"firewall.8": usage[:strings.Index(usage, "DIR has")], "carpd.8": usageOf(t, "carpd"),
		"dump.1": usageOf(t, "dump"), "lab.8": usageOf(t, "lab"),
	} {
		want := words(text, `(?m)^  -([a-z]+)`)
		p := page(t, name)
		_, list, _ := strings.Cut(p, ".Sh DESCRIPTION")
		if name == "firewall.8" {
			list, _, _ = strings.Cut(list, "The second form")
		}
		have := words(list, `(?m)(?:^\.It|,) Fl ([a-z]+)`)
		if !slices.Equal(have, want) {
			t.Errorf("%s: the page has %v, the program %v", name, have, want)
		}
		synopsis := words(p[:strings.Index(p, ".Sh DESCRIPTION")], `Fl ([a-z]+)`)
		for _, f := range want {
			if len(f) > 1 && !slices.Contains(synopsis, f) {
				t.Errorf("%s: the synopsis lacks -%s", name, f)
			}
		}
	}
}

// words are what the first group of a pattern matches, each once, sorted.
func words(text, pattern string) []string {
	var all []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestManCommands: each command that the daemon answers to is in the help text and in
// the manual page, with all its flags.
func TestManCommands(t *testing.T) {
	_, help, _ := strings.Cut(usage, "\nCommands:\n")
	help, _, _ = strings.Cut(help, "\n\n")
	p := page(t, "firewall.8")
	inPage := words(p, `(?m)^\.It Cm ([a-z]+)`)
	inHelp := words(help, `(?m)^  ([a-z]+) ?`)
	var known []string
	for name := range commands {
		known = append(known, name)
	}
	slices.Sort(known)
	if !slices.Equal(inHelp, known) || !slices.Equal(inPage, known) {
		t.Errorf("commands: the program has\n%v, its help\n%v, its page\n%v", known, inHelp, inPage)
	}
	for line := range strings.Lines(help) {
		for _, flag := range words(line, `[ [|](-[a-z]+)`) {
			if !regexp.MustCompile(`(?m)^\.(It|Fl|Op).*(Fl|-) ?` + flag[1:] + `\b`).MatchString(p) {
				t.Errorf("the page lacks %s of %s", flag, strings.TrimSpace(line))
			}
		}
	}
}

// TestManSettings: each key of firewall.toml is in the help text and in its manual
// page, and each key in the page is one.
func TestManSettings(t *testing.T) {
	keys := settingsKeys(t)
	p := page(t, "firewall.toml.5")
	inPage := words(p, `(?m)^\.It Va ([A-Za-z.-]+)`)
	if !slices.Equal(inPage, keys) {
		t.Errorf("the program has\n%v, the page\n%v", keys, inPage)
	}
	for _, key := range keys {
		last := key[strings.LastIndex(key, ".")+1:]
		if !regexp.MustCompile(`\b` + strings.TrimSuffix(last, "NAME") + `\b`).MatchString(usage) {
			t.Errorf("the help text lacks %s", key)
		}
	}
}

// settingsKeys are all keys of firewall.toml, by what the program expects in the place
// of one that it does not know.
func settingsKeys(t *testing.T) []string {
	t.Helper()
	var keys []string
	for _, table := range []string{"", "check.x.", "states.", "sync.", "wan."} {
		s := settings{wan: defaultWAN()}
		expected := s.set(tomlValue{key: table + "nonesuch"})
		list, ok := strings.CutPrefix(expected, "expected one of ")
		if !ok {
			t.Fatalf("%q: %s", table, expected)
		}
		list, _, _ = strings.Cut(list, " in [")
		prefix := ""
		if table == "wan." {
			prefix = table
		}
		for key := range strings.SplitSeq(list, ", ") {
			if table == "check.x." {
				key = "check.NAME." + strings.TrimPrefix(key, "check.NAME.")
			}
			if key != "check.NAME" && !strings.Contains(key, " ") {
				keys = append(keys, prefix+key)
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// TestManWords: each word that carp interfaces and pfsync0 understand is in the page.
func TestManWords(t *testing.T) {
	p := page(t, "hostname.carp.5")
	for _, ifname := range []string{"carp1", "pfsync0"} {
		_, err := ifconfig.ParseCommand([]string{ifname, "nonesuch"})
		if err == nil {
			t.Fatal("nonesuch is a word")
		}
		_, list, ok := strings.Cut(err.Error(), "one of ")
		if !ok {
			t.Fatal(err)
		}
		for word := range strings.FieldsSeq(list) {
			pattern := `(?m)^\.?(It |Cm |Fl |.* (Cm |Fl |, ))(.* )?` + regexp.QuoteMeta(strings.TrimPrefix(word, "-")) + `( |$)`
			if !regexp.MustCompile(pattern).MatchString(p) {
				t.Errorf("%s: the page lacks %s", ifname, word)
			}
		}
	}
}

// TestManLint: the pages are mdoc(7) that mandoc(1) has nothing to say about, but that
// pages are not installed here.
func TestManLint(t *testing.T) {
	if _, err := exec.LookPath("mandoc"); err != nil {
		if os.Getenv("GOCARP_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skipf("needs the tool mandoc: %v", err)
	}
	pages, err := filepath.Glob("man/*.[158]")
	if err != nil || len(pages) != 6 {
		t.Fatalf("%q, %v", pages, err)
	}
	out, _ := exec.Command("mandoc", append([]string{"-Tlint"}, pages...)...).Output()
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "referenced manual not found") {
			t.Error(line)
		}
	}
}
