package ifconfig

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A faqCase is a command or a file of the FAQ.
type faqCase struct {
	line  int
	file  string // empty: a command
	input string
	want  string
}

func readFAQ(t *testing.T) []faqCase {
	t.Helper()
	data, err := os.ReadFile("testdata/faq.txt")
	if err != nil {
		t.Fatal(err)
	}
	var cases []faqCase
	lines := strings.SplitAfter(string(data), "\n")
	for i := 0; i < len(lines); i++ {
		c := faqCase{line: i + 1}
		switch {
		case strings.HasPrefix(lines[i], "$ "):
			c.input = lines[i][2:]
			for strings.HasSuffix(c.input, "\\\n") {
				i++
				c.input += lines[i]
			}
		case strings.HasPrefix(lines[i], "> "):
			c.file = strings.TrimSpace(lines[i][2:])
			for i++; lines[i] != "----\n"; i++ {
				c.input += lines[i]
			}
		default:
			continue
		}
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
			c.want += lines[i]
		}
		cases = append(cases, c)
	}
	return cases
}

// shell splits a line as a shell does, without its program.
func shell(t *testing.T, line string) (program string, args []string) {
	t.Helper()
	all := lex("shell", line)
	if len(all) != 1 || all[0].err != nil {
		t.Fatalf("%q: %v", line, all)
	}
	for _, tok := range all[0].tokens {
		args = append(args, tok.text)
	}
	return args[0], args[1:]
}

func writeChanges(b *strings.Builder, changes []Change) {
	for _, c := range changes {
		fmt.Fprintln(b, strings.Join(c.Words(), " "))
	}
}

func TestFAQ(t *testing.T) {
	cases := readFAQ(t)
	if len(cases) < 30 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		var b strings.Builder
		var err error
		var sysctls []Sysctl
		switch ifname, isHostname := HostnameInterface(c.file); {
		case isHostname:
			var changes []Change
			changes, err = ParseHostname(ifname, c.input)
			writeChanges(&b, changes)
		case c.file != "":
			sysctls, _, err = ParseSysctlConf(c.file, c.input)
		default:
			program, args := shell(t, c.input)
			if program == "sysctl" {
				sysctls, err = ParseSysctl(args)
				break
			}
			var cmd Command
			cmd, err = ParseCommand(args)
			switch cmd.Action {
			case Show:
				fmt.Fprintln(&b, "show", cmd.Name)
			case ShowGroup:
				fmt.Fprintln(&b, "show-group", cmd.Name)
			case Demote:
				fmt.Fprintln(&b, "demote", cmd.Name, cmd.Demote)
			case Configure:
				fmt.Fprintln(&b, "configure", cmd.Name)
			}
			writeChanges(&b, cmd.Changes)
		}
		for _, s := range sysctls {
			fmt.Fprintln(&b, s)
		}
		if err != nil {
			t.Errorf("faq.txt:%d: %v", c.line, err)
		} else if diff := cmp.Diff(c.want, b.String()); diff != "" {
			t.Errorf("faq.txt:%d: %s\n%s", c.line, c.input, diff)
		}
	}
}

// The commands of the FAQ, one after the other on one host, leave what its page
// says they leave; and the files for the next boot ask for the same.
func TestFAQHost(t *testing.T) {
	var host Config
	for _, line := range []string{
		"ifconfig carp1 create",
		"ifconfig carp1 vhid 1 carpdev em0 pass lanpasswd 172.16.0.100 netmask 255.255.255.0",
		"ifconfig pfsync0 syncdev em1",
		"ifconfig pfsync0 up",
	} {
		_, args := shell(t, line)
		cmd, err := ParseCommand(args)
		if err != nil {
			t.Fatal(err)
		}
		if host, err = host.With(cmd.Name, cmd.Changes); err != nil {
			t.Fatal(err)
		}
	}
	if err := host.Validate(); err != nil {
		t.Error(err)
	}
	boot := config(t, map[string]string{
		"carp1":   "inet 172.16.0.100 255.255.255.0 172.16.0.255 vhid 1 carpdev em0 \\\n\tpass lanpasswd\n",
		"pfsync0": "up syncdev em1\n",
	})
	if d := Diff(host, boot); d != nil {
		t.Errorf("commands and files differ: %v", d)
	}
	if d := Diff(boot, host); d != nil {
		t.Errorf("files and commands differ: %v", d)
	}
}

// config is what files, by interface, ask for.
func config(t *testing.T, files map[string]string) Config {
	t.Helper()
	var c Config
	for ifname, data := range files {
		changes, err := ParseHostname(ifname, data)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = c.With(ifname, changes); err != nil {
			t.Fatal(err)
		}
	}
	return c
}
