package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/cli"
)

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		args []string
		code int
		want string // on standard error
	}{
		{[]string{"-scenario", "flood"}, 2, `"flood" for flag -scenario: want one of all, planned, crash, cable, partition, single-wan`},
		{[]string{"-scenario", ""}, 2, `for flag -scenario: want one of all`},
		{[]string{"-seed", "-1"}, 2, `"-1" for flag -seed: want a number from 0 to 18446744073709551615`},
		{[]string{"-seed", "one"}, 2, `"one" for flag -seed: want a number`},
		{[]string{"-json=maybe"}, 2, `"maybe" for -json: want true, false or nothing`},
		{[]string{"-svg", ""}, 2, `for flag -svg: want the name of a file`},
		{[]string{"-log", "xml"}, 2, `-log "xml": want text or json`},
		{[]string{"-x"}, 2, "-x"},
		{[]string{"-seed"}, 2, "-seed"},
		{[]string{"crash"}, 2, `unexpected argument "crash": want flags only`},
		{[]string{"-scenario", "planned", "-svg", filepath.Join(dir, "none", "a.svg")}, 1, "none"},
		{[]string{"-scenario", "planned", "-svg", dir}, 1, dir},
		{[]string{"-scenario", "planned", "-svg", dir, "-log", "json"}, 1, `"level":"ERROR"`},
		{[]string{"-scenario", "planned", "-seed", "18446744073709551615"}, 0, ""},
		{[]string{"-scenario", "planned", "-v"}, 0, "msg=advert"},
	} {
		var stdout, stderr bytes.Buffer
		code := demo(tt.args, &stdout, &stderr)
		if code != tt.code || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("demo %q: exit code %d, %q; want %d and %q", tt.args, code, &stderr, tt.code, tt.want)
		}
		if tt.code == 2 && stdout.Len() > 0 {
			t.Errorf("demo %q: wrong usage, and yet it prints %q", tt.args, &stdout)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestHelp(t *testing.T) {
	for _, flag := range []string{"-h", "-help"} {
		if out := runDemo(t, flag); out != usage {
			t.Errorf("%s: %q", flag, out)
		}
	}
	for _, s := range scenarios {
		if !strings.Contains(usage, "\n                  "+s.name) && !strings.Contains(usage, "-scenario NAME  "+s.name) {
			t.Errorf("the usage does not mention %s", s.name)
		}
	}
}

// broken is a full disk.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestBrokenOutput(t *testing.T) {
	for _, form := range []string{"-json", "-json=false"} {
		var stderr bytes.Buffer
		if code := demo([]string{form}, broken{}, &stderr); code != 1 || stderr.Len() == 0 {
			t.Errorf("%s: exit code %d, %q", form, code, &stderr)
		}
	}
}

// TestJSON wants the contract's keys, times in order, and one verdict for each
// scenario, after its events.
func TestJSON(t *testing.T) {
	var verdicts []string
	var last string
	for line := range strings.Lines(runDemo(t, "-json")) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		v, ok := o["verdict"].(map[string]any)
		if !ok {
			at := o["time"].(string)
			if _, err := time.Parse(time.RFC3339Nano, at); err != nil || len(at) != len(stamp)-len("07:00") || at < last {
				t.Errorf("after %s: %s", last, line)
			}
			last = at
			continue
		}
		last = ""
		verdicts = append(verdicts, v["scenario"].(string))
		for _, key := range []string{"probes", "lost", "max_gap_ms", "two_masters_ms", "seed"} {
			if _, ok := v[key].(float64); !ok {
				t.Errorf("%s is no number: %s", key, line)
			}
		}
		for _, key := range []string{"session_alive", "states_equal"} {
			if v[key] != true {
				t.Errorf("%s is not true: %s", key, line)
			}
		}
	}
	want := []string{"planned", "crash", "cable", "partition", "single-wan"}
	if diff := cmp.Diff(want, verdicts); diff != "" {
		t.Error(diff)
	}
}

func TestSave(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "a.svg"), filepath.Join(dir, "link.svg")
	for _, name := range []string{file, link} {
		for _, text := range []string{"first, and longer", "second"} {
			if err := cli.Save(name, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if b, _ := os.ReadFile(name); string(b) != text {
				t.Errorf("%s: %q, want %q", name, b, text)
			}
		}
		if name == file {
			if err := os.Symlink("a.svg", link); err != nil {
				t.Fatal(err)
			}
		}
	}
	if fi, err := os.Lstat(link); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", fi, err)
	}
	var names []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"a.svg", "link.svg"}) {
		t.Errorf("left behind: %v", names)
	}
	if runtime.GOOS == "linux" {
		if err := cli.Save("/dev/full", []byte("x")); err == nil {
			t.Error("a full disk is no error")
		}
		if fi, err := os.Stat("/dev/full"); err != nil || fi.Mode().IsRegular() {
			t.Errorf("the device was replaced: %v, %v", fi, err)
		}
	}
}
