package ifconfig

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFamily: every word stands for something that can be exchanged, but for these.
func TestFamily(t *testing.T) {
	without := []string{
		"create", "destroy", "inet", "inet6", "-inet", "-inet6", "alias", "delete", "-alias",
		"netmask", "prefixlen", "broadcast", "carpnodes", "balancing",
	}
	for w := range words {
		if got, want := Family(w) != nil, !slices.Contains(without, w); got != want {
			t.Errorf("%s: family %v", w, Family(w))
		}
	}
	if Family("wibble") != nil {
		t.Error("wibble is a word")
	}
	if got := Family("-syncif"); !cmp.Equal(got, []Op{SyncDev, ClearSyncDev}) {
		t.Errorf("-syncif: %v", got)
	}
}

func TestEdit(t *testing.T) {
	skew := func(n int) []Change { return []Change{{Op: AdvSkew, N: n}} }
	for _, tt := range []struct {
		in  string
		own []Change
		out string
	}{
		{"", nil, ""},
		{"", skew(1), "advskew 1\n"},
		{"vhid 1", skew(1), "vhid 1\nadvskew 1\n"},
		{"vhid 1 \\\n", skew(1), "vhid 1 \\\n\nadvskew 1\n"},
		{"advskew 5 vhid 1 # a\r\n", skew(1), "advskew 1 vhid 1 # a\n"},
		{"advskew \\\n\t5 vhid 1\n", nil, "vhid 1\n"},
		{"vhid 1 \\\n\tadvskew 5\nup\n", nil, "vhid 1 \\\n\nup\n"},
		{"vhid 1\n  advskew 5\n# end\n", nil, "vhid 1\n# end\n"},
		{"advskew 5 # ours\n", nil, "# ours\n"},
		{"vhid 1\tadvskew '5'  up\nadvskew 6 advskew 7\n", skew(1), "vhid 1\tadvskew 1  up\n"},
		{"inet 10.0.0.1 255.255.255.0 NONE advskew 5 vhid 1\n", nil, "inet 10.0.0.1 255.255.255.0 NONE vhid 1\n"},
		{"description advskew advskew 5\n", skew(1), "description advskew advskew 1\n"},
	} {
		got, err := Edit("carp1", tt.in, []Op{AdvSkew}, tt.own)
		if err != nil || got != tt.out {
			t.Errorf("%q: %q, want %q, %v", tt.in, got, tt.out, err)
		}
	}
	if _, err := Edit("carp1", "vhid 0", []Op{AdvSkew}, nil); err == nil || !strings.HasPrefix(err.Error(), "hostname.carp1:1: ") {
		t.Errorf("a mistake: %v", err)
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"vhid 1 pass 'a b' up\n":         "vhid 1 pass [secret] up\n",
		"vhid 1 pass \\\n\tx up # y\r\n": "vhid 1 pass \\\n\t[secret] up # y\n",
		"up # pass x, was y\nvhid 1":     "up # pass [secret]\nvhid 1",
		"passfile lan.pass -pass\n":      "passfile lan.pass -pass\n",
		"pass dont tell":                 "[not shown: hostname.carp1 has a mistake]\n",
	} {
		if got := Redact("carp1", in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
