package pfsync_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// A receiveLog is what an OpenBSD kernel made of frames that were sent to it, one
// after the other, with the capture of it all.
type receiveLog struct {
	Captures []struct {
		File string `json:"file"`
	} `json:"captures"`
	Injected []injected `json:"injected"`
}

type injected struct {
	T        float64           `json:"t"`
	What     string            `json:"what"`
	Frame    hexBytes          `json:"frame"`
	Counters counters          `json:"counters_changed"`
	After    []json.RawMessage `json:"states_after"`
	Demote   string            `json:"demote"`
	States   *int              `json:"states"`
}

// bulkRequest is a request for the whole table, as describe has it.
const bulkRequest = "000000000000000000000000"

func TestReceiveOpenBSD(t *testing.T) {
	eachOracle(t, "openbsd-receive.json", "openbsd/pfsync-receive.json", receiveLog{}.test)
}

func TestReceiveBulkOpenBSD(t *testing.T) {
	eachOracle(t, "openbsd-receive-bulk.json", "openbsd/pfsync-receive-bulk.json", receiveLog{}.test)
}

func (receiveLog) test(t *testing.T, dir string, log receiveLog) {
	kernel := sentBy(t, filepath.Join(dir, log.Captures[0].File), "5254000b")
	if len(log.Injected) == 0 || len(kernel) == 0 {
		t.Fatal("nothing was recorded")
	}
	r := replay(t, pfsync.Config{Dialect: pfsync.OpenBSD, HostID: hostID(t, kernel), KernelExact: true}, pfsync.MemoryConfig{})
	r.now = kernel[0].at // its first request, which leaves as soon as it is up
	r.step(pfsync.Event{Kind: pfsync.EventLinkUp})
	r.step(pfsync.Event{Kind: pfsync.EventUp})
	totals := counters{}
	for i, in := range log.Injected {
		r.until(recorded(in.T))
		if i > 0 {
			r.take()
		}
		end := recorded(in.T).Add(time.Second)
		if i+1 < len(log.Injected) {
			end = recorded(log.Injected[i+1].T)
		}
		was := r.Stats()
		r.receive(in.Frame)
		r.until(end.Add(-20 * time.Millisecond))

		var sent [][]byte
		for len(kernel) > 0 && kernel[0].at.Before(end) {
			sent = append(sent, kernel[0].payload)
			kernel = kernel[1:]
		}
		want := describeAll(t, pfsync.OpenBSD, sent)
		if diff := cmp.Diff(want, describeAll(t, pfsync.OpenBSD, r.take())); diff != "" {
			t.Errorf("%d, %s: frames (-kernel +ours):\n%s", i, in.What, diff)
		}
		if in.Counters != nil {
			for name, n := range in.Counters {
				// At the step from one to many netstat changes the word, and the
				// recording has all of them as new.
				if totals[name] == 1 && n > 1 {
					in.Counters[name]--
				}
				totals[name] += in.Counters[name]
			}
			got := kernelCounters(t, pfsync.OpenBSD, r.Stats(), was)
			if slices.Contains(want, bulkRequest) && got["opackets"] == in.Counters["opackets"]+1 {
				got["opackets"]-- // repeated after the counters were read
				if got["opackets"] == 0 {
					delete(got, "opackets")
				}
			}
			if diff := cmp.Diff(in.Counters, got); diff != "" {
				t.Errorf("%d, %s: counters (-kernel +ours):\n%s", i, in.What, diff)
			}
			in.compareStates(t, i, r)
		}
		if in.States != nil && *in.States != r.store.Len() {
			t.Errorf("%d, %s: %d states, kernel has %d", i, in.What, r.store.Len(), *in.States)
		}
		if want := strings.TrimPrefix(in.Demote, "carp: carp demote count "); in.Demote != "" && want != fmt.Sprint(r.out.Demotion) {
			t.Errorf("%d, %s: demotion %d, kernel has %s", i, in.What, r.out.Demotion, want)
		}
	}
}

// hostID is the creatorid of the kernel, as it says in a bulk answer.
func hostID(t *testing.T, kernel []sentFrame) uint32 {
	t.Helper()
	for _, k := range kernel {
		f, err := pfsync.Parse(pfsync.OpenBSD, k.payload)
		if err != nil {
			t.Fatal(err)
		}
		for sec := range f.Sections() {
			for msg := range sec.Messages() {
				var m pfsync.Bus
				if sec.Action == pfsync.ActBus && m.UnmarshalBinary(msg) == nil {
					return m.CreatorID
				}
			}
		}
	}
	return 1
}

func (in *injected) compareStates(t *testing.T, i int, r *replayed) {
	t.Helper()
	var want, got []string
	for _, raw := range in.After {
		var line string
		var st struct {
			ID, CreatorID   string
			Src, Dst        struct{ State int }
			Timeout, Expire int
			Raw             hexBytes
		}
		if json.Unmarshal(raw, &line) != nil {
			if err := json.Unmarshal(raw, &st); err != nil {
				t.Fatal(err)
			}
			line = fmt.Sprintf("%s/%s src %d dst %d timeout %d expire %d", st.ID, st.CreatorID, st.Src.State, st.Dst.State, st.Timeout, st.Expire)
			var k, o pfsync.State
			if err := k.Unmarshal(pfsync.FormatOpenBSD, st.Raw); err != nil {
				t.Fatal(err)
			}
			if !r.store.Get(r.now, k.StateID, &o) {
				t.Errorf("%d, %s: no state %v", i, in.What, k.StateID)
				continue
			}
			ours := o.Append(pfsync.FormatOpenBSD, nil)
			if a, b := blankAges(pfsync.FormatOpenBSD, st.Raw), blankAges(pfsync.FormatOpenBSD, ours); !slices.Equal(a, b) {
				t.Errorf("%d, %s: state of the kernel and ours:\n%x\n%x", i, in.What, a, b)
			}
		}
		want = append(want, line)
	}
	for st := range r.store.States(r.now) {
		got = append(got, fmt.Sprintf("%v src %d dst %d timeout %d expire %d", st.StateID, st.Src.State, st.Dst.State, st.Timeout, st.Expire))
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) != len(got) {
		t.Errorf("%d, %s: states of the kernel and ours:\n%s\n%s", i, in.What, strings.Join(want, "\n"), strings.Join(got, "\n"))
		return
	}
	for j := range want {
		w, we, _ := strings.Cut(want[j], " expire ")
		g, ge, _ := strings.Cut(got[j], " expire ")
		var a, b int
		fmt.Sscan(we, &a)
		fmt.Sscan(ge, &b)
		if w != g || a-b < -2 || a-b > 2 {
			t.Errorf("%d, %s: kernel has %s, we %s", i, in.What, want[j], got[j])
		}
	}
}
