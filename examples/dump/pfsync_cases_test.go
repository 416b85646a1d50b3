package main

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/pcap"
)

// TestPfsyncCounts compares with the messages that FreeBSD's captures are known
// to hold. FreeBSD 12 has no number in the names of its states.
func TestPfsyncCounts(t *testing.T) {
	forEachPfsync(t, "freebsd", func(t *testing.T, dir string, tt *truth) {
		if tt.Frames == 0 {
			return
		}
		all := only("pfsync", packets(t, "-r", tt.capture(t, dir)))
		counts := map[string]int{}
		for _, p := range all {
			for _, s := range p.Sections {
				counts[strings.TrimSuffix(s.Action, "_1301")] += s.Count
			}
		}
		if len(all) != tt.Frames || !maps.Equal(counts, tt.MessageCounts) {
			t.Errorf("%d packets with %v, want %d with %v", len(all), counts, tt.Frames, tt.MessageCounts)
		}
	})
}

// TestPfsyncCases compares with what FreeBSD did with frames made by hand: it
// counts the messages it looks at, and the packets and values it refuses.
func TestPfsyncCases(t *testing.T) {
	forEachPfsync(t, "freebsd", func(t *testing.T, dir string, tt *truth) {
		if len(tt.Cases) == 0 || tt.Cases[0].Case == "" {
			return
		}
		byTime := map[time.Time]jsonPacket{}
		for _, p := range packets(t, "-r", tt.capture(t, dir)) {
			byTime[p.Time] = p
		}
		for _, c := range tt.Cases {
			p := packets(t, "-dialect", "freebsd", "-r", save(t, pcap.LinkEthernet, unhex(t, c.Frame)))[0]
			counted := func(counter string) bool { return c.StatsDelta[counter] != nil }
			wrong := counted("badver") || counted("badact") || counted("badlen")
			if c.Case == "header length 0" {
				wrong = true // FreeBSD just reads nothing
			}
			if wrong != (p.Error != "") {
				t.Errorf("%s: error %q, want one %t", c.Case, p.Error, wrong)
			}
			looked, refused := map[string]any{}, false
			for _, s := range p.Sections {
				if s.Count > 0 {
					name := strings.TrimSuffix(s.Action, "_1301")
					n, _ := looked[name].(int)
					looked[name] = n + s.Count
				}
				for _, m := range s.Messages {
					refused = refused || m["refused"] != nil
				}
			}
			if !wrong && !counted("badttl") && c.StatsDelta["iacts"] != nil {
				if have, want := fmt.Sprint(looked), fmt.Sprint(c.StatsDelta["iacts"]); have != want {
					t.Errorf("%s: messages %s, want %s", c.Case, have, want)
				}
				// 20 and 21 are classes of SCTP for FreeBSD 14.
				want := counted("badval") && !strings.HasSuffix(c.Case, "class 20") && !strings.HasSuffix(c.Case, "class 21")
				if refused != want {
					t.Errorf("%s: refused %t, want %t", c.Case, refused, want)
				}
			}
			for _, a := range c.Answers {
				p, ok := byTime[time.UnixMicro(int64(a.T*1e6+0.5)).UTC()]
				if !ok {
					t.Errorf("%s: no packet at %f", c.Case, a.T)
					continue
				}
				for i, s := range flatten(p.Sections) {
					want := a.Sections[i]
					if strings.TrimSuffix(s.Action, "_1301") != want.Name || s.Count != want.Count {
						t.Errorf("%s: answer %s %d, want %s %d", c.Case, s.Action, s.Count, want.Name, want.Count)
					}
					for j, item := range want.Items {
						flat := map[string]string{}
						flattenValue(flat, "", item)
						if s, ok := flat["status"]; ok {
							flat["status"] = map[string]string{"1": "start", "2": "end"}[s]
						}
						if diff := cmp.Diff(flat, within(flat, s.Messages[j])); diff != "" {
							t.Errorf("%s: answer:\n%s", c.Case, diff)
						}
					}
				}
			}
		}
	})
}

// TestPfsyncInjected wants an error where OpenBSD counted a malformed packet.
func TestPfsyncInjected(t *testing.T) {
	forEachPfsync(t, "openbsd", func(t *testing.T, dir string, tt *truth) {
		for _, in := range tt.Injected {
			p := packets(t, "-dialect", "openbsd", "-r", save(t, pcap.LinkEthernet, unhex(t, in.Frame)))[0]
			wrong, refused := false, false
			for counter := range in.CountersChanged {
				wrong = wrong || strings.HasSuffix(counter, "bad version") || strings.HasSuffix(counter, "short packet")
				refused = refused || strings.HasSuffix(counter, "bad values")
			}
			if wrong != (p.Error != "") {
				t.Errorf("%s: error %q, want one %t", in.What, p.Error, wrong)
			}
			for _, s := range p.Sections {
				for _, m := range s.Messages {
					if refused != (m["refused"] != nil) {
						t.Errorf("%s: refused %v, want %t", in.What, m["refused"], refused)
					}
				}
			}
		}
	})
}

// TestPfsyncMerge compares with the short form of frames made by hand, and with
// the kernels' answers to them as their makers decoded them.
func TestPfsyncMerge(t *testing.T) {
	table := readLayout(t)
	one := func(t *testing.T, frame string) flatSection {
		p := packets(t, "-r", save(t, pcap.LinkEthernet, unhex(t, frame)))[0]
		return flatten(p.Sections)[0]
	}
	test := func(t *testing.T, dir string, tt *truth) {
		for _, c := range tt.Cases {
			if c.N == 0 {
				continue
			}
			s := one(t, c.Frame)
			want := table.expect(c.Received)
			if diff := cmp.Diff(want, within(want, s.Messages[0])); diff != "" || strings.TrimSuffix(s.Action, "_1301") != c.Message {
				t.Errorf("case %d: %s, want %s\n%s", c.N, s.Action, c.Message, diff)
			}
			for _, r := range c.Replies {
				s := one(t, r.Packet)
				for i, m := range r.Messages {
					want := table.expect(m)
					if diff := cmp.Diff(want, within(want, s.Messages[i])); diff != "" || s.Action != m["action"] {
						t.Errorf("case %d: reply %s, want %s\n%s", c.N, s.Action, m["action"], diff)
					}
				}
			}
		}
	}
	forEachPfsync(t, "openbsd", test)
	forEachPfsync(t, "freebsd", test)
}
