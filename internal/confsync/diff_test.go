package confsync

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func modeOf(n int) fs.FileMode { return fs.FileMode(n) }

// TestDiff: it shows what is different, and no secret.
func TestDiff(t *testing.T) {
	from := tree(map[string]string{
		"hostname.carp1": "vhid 1 pass oldSecret 10.0.0.1/24\nadvbase 1\n# pass asideSecret\ngroup a\n",
		"hostname.carp2": "vhid 2 10.0.0.2/24\n",
		"carp.d/10-wan":  "#!/bin/sh\nold\n",
		settingsFile:     "mac = \"real\"\napi-token = \"oldSecret\"\n",
	})
	to := tree(map[string]string{
		"hostname.carp1": "vhid 1 pass newSecret 10.0.0.1/24\nadvbase 2\n# pass asideSecret\ngroup a\n",
		"carp.d/10-wan":  "#!/bin/sh\nnew\x1b[31m\n",
		"extra/vpn":      "psk newSecret\n",
		settingsFile:     "mac = \"virtual\"\napi-token = \"newSecret\"\n",
	})
	want := []Change{
		{"hostname.carp1", Carp, "changed", "-vhid 1 pass [secret] 10.0.0.1/24\n-advbase 1\n+vhid 1 pass [secret] 10.0.0.1/24\n+advbase 2\n"},
		{"hostname.carp2", Carp, "removed", "-vhid 2 10.0.0.2/24\n"},
		{settingsFile, Settings, "changed", "-mac = \"real\"\n-api-token = \"[secret]\"\n+mac = \"virtual\"\n+api-token = \"[secret]\"\n"},
		{"carp.d/10-wan", Hooks, "changed", "-old\n+new?[31m\n"},
		{"extra/vpn", Extra, "added", "0 octets -> 14 octets, not shown: others may not read it\n"},
	}
	got := Diff(from, to)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, c := range append(got, Diff(to, from)...) {
		if strings.Contains(c.Text, "Secret") {
			t.Errorf("a secret is shown: %s", c.Text)
		}
	}
	if got := Diff(to, to); got != nil {
		t.Errorf("the same: %v", got)
	}
	a := Tree{"sysctl.conf": NewFile("sysctl.conf", 0o644, []byte("x=1\n"))}
	b := Tree{"sysctl.conf": NewFile("sysctl.conf", 0o600, []byte("x=1\n"))}
	if diff := cmp.Diff([]Change{{"sysctl.conf", Sysctl, "changed", "mode 0644 -> 0600\n"}}, Diff(a, b)); diff != "" {
		t.Error(diff)
	}
}

// TestEdits: what is common stays, however long the texts are.
func TestEdits(t *testing.T) {
	lines := func(s string) []shownLine {
		var out []shownLine
		for _, r := range s {
			out = append(out, shownLine{string(r), string(r)})
		}
		return out
	}
	for _, tt := range []struct{ a, b, want string }{
		{"", "", ""}, {"a", "", "-a"}, {"", "b", "+b"}, {"abc", "axc", "-b+x"}, {"abcd", "bxd", "-a-c+x"},
		{strings.Repeat("a", 1025), strings.Repeat("a", 1025), strings.Repeat("-a", 1025) + strings.Repeat("+a", 1025)},
	} {
		if got := strings.ReplaceAll(strings.Join(edits(lines(tt.a), lines(tt.b)), ""), "\n", ""); got != tt.want {
			t.Errorf("%.9q, %.9q: %.20q, want %.20q", tt.a, tt.b, got, tt.want)
		}
	}
}
