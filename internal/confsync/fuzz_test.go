package confsync

import (
	"slices"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/ifconfig"
)

// FuzzHostname merges any two files: what comes out says what the sender's says, but for
// advskew and the passphrase, which are the receiver's; merging again changes nothing;
// and the difference shows no passphrase.
func FuzzHostname(f *testing.F) {
	f.Add("# LAN\ninet 10.0.0.1 255.255.255.0 NONE vhid 1 advskew 0 \\\n\tpass 'a b' # x\n", "vhid 1 advskew 128 pass x 10.0.0.9/24")
	f.Add("vhid 1\n# so \\", "advskew 100\npass \"y\\\"z\"")
	f.Add("advskew 1 advskew 2\r\n-pass\r\n", "-pass up")
	f.Add("pass a pass b \\\n", "pass pass")
	f.Add("description pass group pass 10.0.0.1/24", "")
	own := []ifconfig.Op{ifconfig.AdvSkew, ifconfig.Pass, ifconfig.PassFile}
	r, err := ParseRule("carp:pass")
	if err != nil {
		f.Fatal(err)
	}
	m := Merge{Sections: Sections, Rules: Rules{r}}
	f.Fuzz(func(t *testing.T, theirs, ours string) {
		const name, ifname = "hostname.carp1", "carp1"
		a, errA := ifconfig.ParseHostname(ifname, theirs)
		b, errB := ifconfig.ParseHostname(ifname, ours)
		to, from := tree(map[string]string{name: theirs}), tree(map[string]string{name: ours})
		got, err := m.Merge(to, from)
		if err != nil {
			if errA == nil && errB == nil && !strings.Contains(err.Error(), "put each on a line of its own") {
				t.Fatalf("%v", err)
			}
			return
		}
		c, err := ifconfig.ParseHostname(ifname, string(got[name].Data))
		if err != nil {
			t.Fatalf("%q: %v", got[name].Data, err)
		}
		words := func(changes []ifconfig.Change, mine bool) []string {
			var out []string
			for _, ch := range changes {
				if slices.Contains(own, ch.Op) == mine {
					out = append(out, strings.Join(ch.Words(), "\x00"))
				}
			}
			return out
		}
		if !slices.Equal(words(a, false), words(c, false)) {
			t.Fatalf("theirs %q\nmade  %q", theirs, got[name].Data)
		}
		x, y := words(b, true), words(c, true)
		slices.Sort(x) // where each stands is the sender's
		slices.Sort(y)
		if !slices.Equal(x, y) {
			t.Fatalf("ours %q\nmade %q", ours, got[name].Data)
		}
		again, err := m.Merge(to, got)
		if err != nil || again[name].SHA256 != got[name].SHA256 {
			t.Fatalf("again: %q, then %q, %v", got[name].Data, again[name].Data, err)
		}
		for _, ch := range append(ifconfig.Select(a, own), ifconfig.Select(b, own)...) {
			secret := string(ch.Pass)
			if len(secret) < 12 || strings.Contains(secret, "secret") || strings.Count(theirs+ours, secret) != 1 {
				continue // may be there as another word
			}
			for _, d := range Diff(from, got) {
				if strings.Contains(d.Text, secret) {
					t.Fatalf("%q is shown: %q", secret, d.Text)
				}
			}
		}
	})
}
