package confsync

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree makes a tree of texts; the mode of scripts is theirs, that of others 0600.
func tree(files map[string]string) Tree {
	t := make(Tree)
	for name, text := range files {
		mode := 0o600
		if strings.HasPrefix(name, hooksDir) {
			mode = 0o755
		}
		t[name] = NewFile(name, modeOf(mode), []byte(text))
	}
	return t
}

// texts are the files of a tree.
func texts(t Tree) map[string]string {
	out := make(map[string]string)
	for name, f := range t {
		out[name] = string(f.Data)
	}
	return out
}

func rules(t *testing.T, all ...string) Rules {
	t.Helper()
	var rs Rules
	for _, s := range all {
		r, err := ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		if r.String() != s {
			t.Errorf("%q is shown as %q", s, r)
		}
		rs = append(rs, r)
	}
	return rs
}

func TestMerge(t *testing.T) {
	const carp1 = "hostname.carp1"
	for _, tt := range []struct {
		name         string
		exclude      []string
		skewAdd      int
		file         string
		theirs, ours string // "-": there is no file
		want         string
	}{
		// Built in: advskew.
		{name: "advskew is ours, in the place of theirs", file: carp1,
			theirs: "# LAN\ninet 10.0.0.1 255.255.255.0 NONE vhid 1 advskew 0 carpdev em0 \\\n\tpass secret # of all\nadvbase 2\n",
			ours:   "vhid 1 advskew 128 10.0.0.9/24",
			want:   "# LAN\ninet 10.0.0.1 255.255.255.0 NONE vhid 1 advskew 128 carpdev em0 \\\n\tpass secret # of all\nadvbase 2\n"},
		{name: "advskew is ours, theirs says nothing", file: carp1,
			theirs: "vhid 1 10.0.0.1/24", ours: "vhid 1 10.0.0.1/24\nadvskew 100\n", want: "vhid 1 10.0.0.1/24\nadvskew 100\n"},
		{name: "advskew is ours, after a comment that goes on", file: carp1,
			theirs: "vhid 1 10.0.0.1/24\n# so \\", ours: "vhid 1 advskew 100 10.0.0.1/24", want: "vhid 1 10.0.0.1/24\n# so \\\n\nadvskew 100\n"},
		{name: "advskew is not given here", file: carp1,
			theirs: "vhid 1 10.0.0.1/24\nadvskew 100\ngroup lan\n", ours: "vhid 1 10.0.0.1/24", want: "vhid 1 10.0.0.1/24\ngroup lan\n"},
		{name: "advskew twice", file: carp1,
			theirs: "vhid 1 advskew 1 10.0.0.1/24\n\tadvskew 2\n", ours: "vhid 1 10.0.0.1/24 advskew 7", want: "vhid 1 advskew 7 10.0.0.1/24\n"},
		{name: "a new interface is slower here", file: carp1, theirs: "vhid 1 advskew 5 10.0.0.1/24\n", ours: "-", want: "vhid 1 advskew 105 10.0.0.1/24\n"},
		{name: "a new interface is no slower than can be", file: carp1, theirs: "vhid 1 advskew 200 10.0.0.1/24\n", ours: "-", want: "vhid 1 advskew 254 10.0.0.1/24\n"},
		{name: "skew-add", skewAdd: 50, file: carp1, theirs: "vhid 1 10.0.0.1/24\n", ours: "vhid 1 advskew 9 10.0.0.1/24", want: "vhid 1 10.0.0.1/24\nadvskew 50\n"},
		{name: "skew-add, but this one is kept", skewAdd: 50, exclude: []string{"hostname.carp1:advskew"}, file: carp1,
			theirs: "vhid 1 10.0.0.1/24\n", ours: "vhid 1 advskew 9 10.0.0.1/24", want: "vhid 1 10.0.0.1/24\nadvskew 9\n"},

		// Other words.
		{name: "passphrase", exclude: []string{"carp:pass"}, file: carp1,
			theirs: "vhid 1 pass theirs 10.0.0.1/24\n", ours: "vhid 1 pass 'o w$n' 10.0.0.1/24", want: "vhid 1 pass 'o w$n' 10.0.0.1/24\n"},
		{name: "another interface's rule", exclude: []string{"hostname.carp2:carpdev"}, file: carp1,
			theirs: "vhid 1 carpdev em0 10.0.0.1/24\n", ours: "vhid 1 carpdev em7 10.0.0.1/24", want: "vhid 1 carpdev em0 10.0.0.1/24\n"},
		{name: "groups", exclude: []string{"carp:group"}, file: carp1,
			theirs: "vhid 1 10.0.0.1/24 group x\n", ours: "vhid 1 10.0.0.1/24\ngroup a\ngroup b\n", want: "vhid 1 10.0.0.1/24 group a group b\n"},
		{name: "down here", exclude: []string{"carp:up"}, file: carp1, theirs: "vhid 1 10.0.0.1/24\n", ours: "vhid 1 10.0.0.1/24\ndown\n", want: "vhid 1 10.0.0.1/24\ndown\n"},
		{name: "whole file", exclude: []string{"hostname.carp1"}, file: carp1, theirs: "vhid 2 10.0.0.2/24", ours: "vhid 1 10.0.0.1/24", want: "vhid 1 10.0.0.1/24"},
		{name: "whole section", exclude: []string{"carp"}, file: carp1, theirs: "-", ours: "vhid 1 10.0.0.1/24", want: "vhid 1 10.0.0.1/24"},
		{name: "gone", file: carp1, theirs: "-", ours: "vhid 1 10.0.0.1/24", want: "-"},

		// Built in: syncpeer.
		{name: "syncpeer", file: "hostname.pfsync0", theirs: "up syncdev em1 syncpeer 10.0.0.2\n", ours: "up syncdev em0 syncpeer 10.0.0.1\n", want: "up syncdev em1 syncpeer 10.0.0.1\n"},
		{name: "syncpeer of theirs only", file: "hostname.pfsync0", theirs: "up syncdev em1 syncpeer 10.0.0.2\n", ours: "up syncdev em0 -syncpeer", want: "up syncdev em1 -syncpeer\n"},

		// Built in: peer and sync in firewall.toml.
		{name: "peer and sync are ours", file: settingsFile,
			theirs: "mac = \"real\" # both\n\n[peer]\naddress = \"10.0.0.2\"\nsecret-file = \"k\"\n\n[hooks]\ntimeout = 30\n\n[sync]\nskew-add = 100\n",
			ours:   "[peer]\naddress=\"10.0.0.1\"\n[sync.extra]\ndns = [\"/etc/dns\"]\n[hooks]\ntimeout=1\n",
			want:   "mac = \"real\" # both\n\n[peer]\naddress=\"10.0.0.1\"\n\n[hooks]\ntimeout = 30\n\n\n[sync.extra]\ndns = [\"/etc/dns\"]\n"},
		{name: "a key of a table", exclude: []string{"settings:wan.lladdr"}, file: settingsFile,
			theirs: "[wan]\ninterface = \"wan0\"\nlladdr = \"02:00:00:00:00:01\"\n", ours: "[wan]\nlladdr = \"02:00:00:00:00:02\"\ninterface = \"x\"\n",
			want: "[wan]\ninterface = \"wan0\"\nlladdr = \"02:00:00:00:00:02\"\n"},
		{name: "a key at the top", exclude: []string{"settings:mac"}, file: settingsFile,
			theirs: "# both\n[hooks]\ntimeout = 1\n", ours: "mac = \"virtual\"\n", want: "mac = \"virtual\"\n# both\n[hooks]\ntimeout = 1\n"},
		{name: "a key with dots", exclude: []string{"settings:hooks.timeout"}, file: settingsFile,
			theirs: "hooks . timeout = 1\n", ours: "hooks.timeout = 2", want: "hooks.timeout = 2\n"},
		{name: "no settings there", file: settingsFile, theirs: "-", ours: "mac = \"real\"\n[peer]\nport = 1\n", want: "[peer]\nport = 1\n"},
		{name: "no settings of our own", file: settingsFile, theirs: "-", ours: "mac = \"real\"\n", want: "-"},

		{name: "sysctl", exclude: []string{"sysctl:net.inet.carp.log"}, file: sysctlFile,
			theirs: "net.inet.carp.preempt=1\nnet.inet.carp.log=2\n", ours: "net.inet.carp.log = 7 # verbose", want: "net.inet.carp.preempt=1\nnet.inet.carp.log = 7 # verbose\n"},
		{name: "hook", file: "carp.d/10-wan", theirs: "#!/bin/sh\nnew\n", ours: "#!/bin/sh\nold\n", want: "#!/bin/sh\nnew\n"},
		{name: "own hook", exclude: []string{"hooks:90-local"}, file: "carp.d/90-local", theirs: "-", ours: "x", want: "x"},
		{name: "extra", file: "extra/dns", theirs: "a", ours: "b", want: "a"},
		{name: "own extra", exclude: []string{"extra:dns"}, file: "extra/dns", theirs: "a", ours: "b", want: "b"},
		{name: "extra that is not sent", file: "extra/dns", theirs: "-", ours: "b", want: "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			one := func(text string) Tree {
				if text == "-" {
					return Tree{}
				}
				return tree(map[string]string{tt.file: text})
			}
			m := Merge{Sections: Sections, Rules: rules(t, tt.exclude...), SkewAdd: tt.skewAdd}
			got, err := m.Merge(one(tt.theirs), one(tt.ours))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(texts(one(tt.want)), texts(got)); diff != "" {
				t.Error(diff)
			}
			m.Sections = nil
			if got, err := m.Merge(one(tt.theirs), one(tt.ours)); err != nil || got.Digest() != one(tt.ours).Digest() {
				t.Errorf("a section that was not asked for has changed: %v", err)
			}
		})
	}
}

// TestBuiltin: each rule that is built in says why, and keeps what it is about.
func TestBuiltin(t *testing.T) {
	theirs := tree(map[string]string{
		"hostname.carp1":   "vhid 1 advskew 1 10.0.0.1/24\n",
		"hostname.pfsync0": "up syncdev em1 syncpeer 10.0.0.2\n",
		settingsFile:       "[peer]\nport = 1\n[sync]\nskew-add = 1\n",
	})
	ours := tree(map[string]string{
		"hostname.carp1":   "vhid 1 advskew 2 10.0.0.1/24\n",
		"hostname.pfsync0": "up syncdev em1 syncpeer 10.0.0.1\n",
		settingsFile:       "[peer]\nport = 2\n[sync]\nskew-add = 2\n",
	})
	got, err := Merge{Sections: Sections}.Merge(theirs, ours)
	if err != nil {
		t.Fatal(err)
	}
	if changes := Diff(ours, got); len(changes) > 0 {
		t.Errorf("something of our own has changed: %+v", changes)
	}
	for i, r := range Builtin {
		if again, err := ParseRule(r.String()); err != nil || again.Item != r.Item || again.Section != r.Section || r.Reason == "" {
			t.Errorf("%v: %+v, %v", r, again, err)
		}
		// Without it, one thing changes.
		all := Builtin
		Builtin = append(append([]Rule{}, all[:i]...), all[i+1:]...)
		got, err := Merge{Sections: Sections}.Merge(theirs, ours)
		if changes := Diff(ours, got); err != nil || len(changes) != 1 || changes[0].Section != r.Section {
			t.Errorf("%v has no effect: %v, %v", r, changes, err)
		}
		Builtin = all
	}
	if s, ok := SectionOf("maintenance"); ok {
		t.Errorf("the maintenance flag is in section %s", s)
	}
}

func TestMergeErrors(t *testing.T) {
	for _, tt := range []struct{ theirs, ours, want string }{
		{"vhid 0", "vhid 1", `hostname.carp1:1: word "0"`},
		{"vhid 1", "vhid 0", `the file that is here has a mistake, so that its own words are not known: hostname.carp1:1: word "0"`},
	} {
		_, err := Merge{Sections: Sections}.Merge(tree(map[string]string{"hostname.carp1": tt.theirs}), tree(map[string]string{"hostname.carp1": tt.ours}))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q, %q: %v, want %s", tt.theirs, tt.ours, err, tt.want)
		}
	}
	_, err := Merge{Sections: Sections}.Merge(tree(map[string]string{"hostname.carp1": "vhid 1 advskew 254 10.0.0.1/24"}), Tree{})
	if err == nil || !strings.Contains(err.Error(), "advskew 254 at the sender leaves none") {
		t.Errorf("no room: %v", err)
	}
}

func TestModes(t *testing.T) {
	for _, tt := range []struct {
		name         string
		text         string
		theirs, ours int // -1: there is no file
		want         int
	}{
		{"hostname.carp1", "vhid 1 pass x 10.0.0.1/24", 0o644, 0o644, 0o600},
		{"hostname.carp1", "vhid 1 10.0.0.1/24", 0o600, 0o640, 0o640},
		{"hostname.carp1", "vhid 1 10.0.0.1/24", 0o666, -1, 0o644},
		{"carp.d/10-wan", "x", 0o775, 0o700, 0o755},
		{"carp.d/10-wan", "x", 0o750, -1, 0o750},
		{"extra/dns", "x", 0o644, 0o640, 0o640},
		{settingsFile, "[peer]\nport = 1\n", 0o644, -1, 0o644},
	} {
		one := func(mode int) Tree {
			if mode < 0 {
				return Tree{}
			}
			return Tree{tt.name: NewFile(tt.name, modeOf(mode), []byte(tt.text))}
		}
		got, err := Merge{Sections: Sections, Rules: nil}.Merge(one(tt.theirs), one(tt.ours))
		if err != nil || got[tt.name].Mode != modeOf(tt.want) {
			t.Errorf("%s %#o here %#o: %#o, want %#o, %v", tt.name, tt.theirs, tt.ours, got[tt.name].Mode, tt.want, err)
		}
	}
}

// TestNewTree is what is refused of what comes over the network.
func TestNewTree(t *testing.T) {
	good := NewFile("hostname.carp1", 0o600, []byte("x"))
	if _, err := NewTree([]File{good}); err != nil {
		t.Error(err)
	}
	bent := good
	bent.Data = []byte("y")
	setuid := good
	setuid.Mode |= 1 << 23
	many := make([]File, MaxFiles+1)
	for i := range many {
		many[i] = NewFile("carp.d/"+strings.Repeat("1", i+1)+"-x", 0o755, nil)
	}
	for want, files := range map[string][]File{
		"twice":                  {good, good},
		"SHA-256":                {bent},
		"want permissions only":  {setuid},
		"more than":              {NewFile("extra/x", 0o600, make([]byte, MaxFile+1))},
		"everybody may write":    {NewFile("carp.d/10-x", 0o777, nil)},
		"1024":                   many,
		`"maintenance": no file`: {NewFile("maintenance", 0o600, nil)},
	} {
		if _, err := NewTree(files); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, name := range []string{
		"", ".", "..", "/etc/passwd", "../hostname.carp1", "hostname.carp1/../x", "hostname.carp01", "hostname.carp1~", "hostname.em0", "hostname.pfsync1",
		"carp.d/../10-x", "carp.d/10-../x", "carp.d/x", "carp.d/", "extra/", "extra/..", "extra/a/b", "extra/-x", "peer.key", ".sync/state", "hostname.carp1\n", "carp.d/10-x\n",
	} {
		if s, ok := SectionOf(name); ok {
			t.Errorf("%q is in section %s", name, s)
		}
	}
}

func TestParseRuleErrors(t *testing.T) {
	for _, s := range []string{"", "nothing", "carp:", "carp:inet", "carp:10.0.0.1", "carp:wibble", "hooks:local", "hooks:../x", "hostname.carp1:inet", "settings:", "settings:a b", "extra:/etc", "carp.d/10-x:y", "maintenance"} {
		if r, err := ParseRule(s); err == nil {
			t.Errorf("%q: %+v", s, r)
		}
	}
	if _, err := ParseSections([]string{"carp", "nat"}); err == nil || !strings.Contains(err.Error(), `"nat" is no section`) {
		t.Error(err)
	}
}
