package confsync

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A bench is a configuration on a disk, and a file elsewhere.
type bench struct {
	t        *testing.T
	dir      string
	extra    map[string]string
	from, to Tree
}

// newBench has files that change, stay, come, and go; with and without scripts before.
func newBench(t *testing.T, hooks bool) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), extra: map[string]string{"dns": filepath.Join(t.TempDir(), "dns.conf")}}
	b.from = tree(map[string]string{
		"hostname.carp1": "vhid 1 pass old 10.0.0.1/24\n", "hostname.carp2": "vhid 2 10.0.0.2/24\n",
		"hostname.pfsync0": "up\n", "sysctl.conf": "net.inet.carp.preempt=0\n", "extra/dns": "old\n",
	})
	b.to = tree(map[string]string{
		"hostname.carp1": "vhid 1 pass new 10.0.0.1/24\n", "hostname.carp3": "vhid 3 10.0.0.3/24\n",
		"hostname.pfsync0": "up\n", "sysctl.conf": "net.inet.carp.preempt=1\n", "extra/dns": "new\n",
		"carp.d/10-wan": "#!/bin/sh\n", "carp.d/20-log": "#!/bin/sh\n",
	})
	b.to["sysctl.conf"] = NewFile("sysctl.conf", 0o644, b.to["sysctl.conf"].Data)
	if hooks {
		b.from["carp.d/10-wan"] = NewFile("carp.d/10-wan", 0o755, []byte("old"))
	}
	for name, f := range b.from {
		path := Path(b.dir, name, b.extra)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Data, f.Mode)); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *bench) path(name string) string { return Path(b.dir, name, b.extra) }

func (b *bench) ops() []Op { return Ops(b.from, b.to, b.path) }

func (b *bench) read() Tree {
	b.t.Helper()
	got, err := Read(b.dir, b.extra)
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

// left are the files beside those of the configuration.
func (b *bench) left() string {
	b.t.Helper()
	var names []string
	for _, dir := range []string{b.dir, filepath.Dir(b.extra["dns"])} {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(dir, path)
			if _, ok := SectionOf(filepath.ToSlash(rel)); err == nil && !ok && rel != "." && d.Name() != "dns.conf" {
				names = append(names, rel)
			}
			return err
		})
	}
	return strings.Join(names, " ")
}

func TestApply(t *testing.T) {
	b := newBench(t, true)
	if err := Apply(b.dir, b.ops()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.to, b.read()); diff != "" {
		t.Error(diff)
	}
	if got, want := b.left(), ".sync .sync/previous .sync/previous/0 .sync/previous/1 .sync/previous/3 .sync/previous/4 .sync/previous/6 .sync/previous/plan carp.d"; got != want {
		t.Errorf("left: %s", got)
	}

	// Back, and forth again.
	for _, want := range []Tree{b.from, b.to, b.from} {
		ops, err := Previous(b.dir)
		if err == nil {
			err = Apply(b.dir, ops)
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.read()); diff != "" {
			t.Error(diff)
		}
	}
	if err := Apply(b.dir, nil); err != nil {
		t.Error(err)
	}
	if err := Forget(b.dir); err != nil {
		t.Error(err)
	}
	if _, err := Previous(b.dir); !errors.Is(err, ErrNoPrevious) {
		t.Errorf("forgotten: %v", err)
	}
	if _, err := Previous(t.TempDir()); !errors.Is(err, ErrNoPrevious) {
		t.Errorf("nothing before: %v", err)
	}
}

// errDead is what everything answers once the machine has lost its power.
var errDead = errors.New("no power")

// TestCrash ends the program before each of its operations, and in the middle of each
// write: after Recover, all files are the old ones, or all are the new ones, and nothing
// else is left. Recover is cut short in the same way.
func TestCrash(t *testing.T) {
	t.Parallel()
	outcomes := make(map[string]int)
	for _, hooks := range []bool{false, true} {
		for k := 0; ; k++ {
			b := newBench(t, hooks)
			n := 0
			dead := func(at int) disk {
				n = 0
				return disk{before: func(op, path string) error {
					if n++; n <= at {
						return nil
					}
					if n == at+1 && op == "write" {
						os.WriteFile(path, []byte("half"), 0o600)
					}
					return errDead
				}}
			}
			err := dead(k).apply(b.dir, b.ops())
			if n <= k { // it was through before
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			// The first starts after it are cut short as well.
			for again := range 3 {
				dead(again).recover(b.dir)
			}
			if _, err := Recover(b.dir); err != nil {
				t.Fatalf("hooks %v, operation %d: %v", hooks, k, err)
			}
			got := b.read()
			switch {
			case cmp.Equal(got, b.from):
				outcomes["old"]++
				if err == nil {
					t.Errorf("operation %d: success was reported, and the old files are there", k)
				}
				if left := strings.Replace(b.left(), " .sync/plan.tmp", "", 1); strings.Contains(left, ".new") || strings.Contains(left, ".old") || strings.Contains(left, "plan") || !hooks && strings.Contains(left, "carp.d") {
					t.Errorf("operation %d: left: %s", k, left)
				}
			case cmp.Equal(got, b.to):
				outcomes["new"]++
				ops, err := Previous(b.dir)
				if err == nil {
					err = Apply(b.dir, ops)
				}
				if err != nil || !cmp.Equal(b.read(), b.from) {
					t.Errorf("operation %d: no way back: %v", k, err)
				}
			default:
				t.Fatalf("operation %d: half applied: %s", k, cmp.Diff(b.from, got))
			}
			// The next one is no worse for it.
			if err := Apply(b.dir, Ops(b.read(), b.to, b.path)); err != nil || !cmp.Equal(b.read(), b.to) {
				t.Errorf("operation %d: the next one: %v", k, err)
			}
		}
	}
	if outcomes["old"] < 40 || outcomes["new"] < 8 {
		t.Errorf("too few crashes: %v", outcomes)
	}
	t.Log(outcomes)
}

// TestDiskErrors has one operation fail, as a full disk does, and the others work: the
// answer of Apply is the truth, without a Recover.
func TestDiskErrors(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	for _, sticky := range []bool{false, true} { // once, or for all writes from then on
		for k := 0; ; k++ {
			b := newBench(t, false)
			n := 0
			d := disk{before: func(op, _ string) error {
				if n++; n == k+1 || sticky && n > k && op == "write" {
					return full
				}
				return nil
			}}
			err := d.apply(b.dir, b.ops())
			if n <= k {
				break
			}
			switch got := b.read(); {
			case err == nil && !cmp.Equal(got, b.to):
				t.Errorf("operation %d: success, but: %s", k, cmp.Diff(b.to, got))
			case err != nil && !cmp.Equal(got, b.from):
				t.Errorf("operation %d: %v, but: %s", k, err, cmp.Diff(b.from, got))
			case err != nil && (!errors.Is(err, full) || !strings.Contains(err.Error(), "nothing was changed") || strings.Count(err.Error(), "confsync: ") != 1):
				t.Errorf("operation %d: %v", k, err)
			}
		}
	}
}

// TestRefused is what Apply finds out before it begins.
func TestRefused(t *testing.T) {
	b := newBench(t, true)
	target := b.path("hostname.carp1")
	if err := errors.Join(os.Rename(target, target+".real"), os.Symlink(target+".real", target)); err != nil {
		t.Fatal(err)
	}
	if err := Apply(b.dir, b.ops()); err == nil || !strings.Contains(err.Error(), "hostname.carp1 is no file of its own, but a link") {
		t.Errorf("a link: %v", err)
	}
	if err := Apply(b.dir, []Op{{Name: "extra/x"}}); err == nil || !strings.Contains(err.Error(), "extra/x: want a path of its own") {
		t.Errorf("no path: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(b.dir, Dir)); err == nil {
		t.Error("something was written")
	}
	if err := Apply(filepath.Join(b.dir, "nonesuch"), []Op{{Name: "x", Path: filepath.Join(b.dir, "x"), Mode: 0o600}}); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("no directory: %v", err)
	}
}

// TestOwner: a file stays that of its owner.
func TestOwner(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getuid() != 0 {
		if os.Getenv("GOCARP_REQUIRE") == "1" {
			t.Fatal("needs root, to give a file away")
		}
		t.Skip("needs root, to give a file away")
	}
	b := newBench(t, true)
	path := b.path("extra/dns")
	if err := os.Chown(path, 65534, 65533); err != nil {
		t.Fatal(err)
	}
	if err := Apply(b.dir, b.ops()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%+v", info.Sys()); !strings.Contains(got, "Uid:65534 Gid:65533") {
		t.Errorf("it has another owner: %s", got)
	}
}

func TestState(t *testing.T) {
	dir := t.TempDir()
	s, err := ReadState(dir)
	if err != nil || s.Generation != 0 || s.Last != nil {
		t.Errorf("at first: %+v, %v", s, err)
	}
	a, b := tree(map[string]string{"sysctl.conf": "x=1"}), tree(map[string]string{"sysctl.conf": "x=2"})
	for i, tt := range []struct {
		tree    Tree
		changed bool
		want    uint64
	}{{a, true, 1}, {a, false, 1}, {b, true, 2}, {a, true, 3}} {
		if changed := s.Note(tt.tree); changed != tt.changed || s.Generation != tt.want {
			t.Errorf("%d: %v, generation %d", i, changed, s.Generation)
		}
	}
	s.Last = &Record{From: "fw1", Result: "ok", Sections: []Section{Carp}}
	s.Pending = []string{"dns"}
	if err := s.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := ReadState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, got); diff != "" {
		t.Error(diff)
	}
}
