package hook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
)

// A bench is a directory of scripts, which append to a file, and a queue for it.
type bench struct {
	t    *testing.T
	dir  string
	file string
	q    *Queue

	mu      sync.Mutex
	results []Result
}

func newBench(t *testing.T, timeout time.Duration) *bench {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a system with #! scripts")
	}
	b := &bench{t: t, dir: t.TempDir(), file: filepath.Join(t.TempDir(), "calls")}
	b.q = New(Config{Dir: b.dir, Timeout: timeout, Done: func(r Result) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.results = append(b.results, r)
	}})
	t.Cleanup(func() { b.close() })
	return b
}

// script adds one; $f is the file.
func (b *bench) script(name, body string) {
	b.t.Helper()
	text := fmt.Sprintf("#!/bin/sh\nf=%s\n%s\n", b.file, body)
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) add(vhid uint8, from, to carp.State, seq uint64) {
	b.q.Add(carp.Change{VHID: vhid, Interface: "em0", From: from, To: to, Reason: carp.ReasonForced, Seq: seq})
}

// close waits for all scripts.
func (b *bench) close() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if n := b.q.Close(ctx); n != 0 {
		b.t.Errorf("%d hosts were not done", n)
	}
}

// calls is what the scripts wrote.
func (b *bench) calls() string {
	b.t.Helper()
	text, err := os.ReadFile(b.file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	return string(text)
}

func (b *bench) await(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("never: %s; calls:\n%s", what, b.calls())
		}
	}
}

// Scripts are called in the order of their names, with the contract's arguments and
// environment, and nothing that is ours alone.
func TestContract(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/nonesuch")
	t.Setenv("WATCHDOG_USEC", "1")
	b := newBench(t, 0)
	b.script("20-log", `echo "20 $# $1 $2" >>$f`)
	b.script("10-wan", `echo "10 $1 $2 $CARP_VHID $CARP_IF $CARP_STATE $CARP_PREV $CARP_SEQ ($CARP_REASON)" >>$f
env | grep -E '^(NOTIFY|WATCHDOG)' >>$f; true`)
	b.script("notes", `echo "not a hook" >>$f`)
	b.script("10-wan~", `echo "a copy" >>$f`)
	b.script("10-wan.rpmsave", `echo "a copy" >>$f`)
	b.add(1, carp.Backup, carp.Master, 7)
	b.close()
	want := "10 1@em0 MASTER 1 em0 MASTER BACKUP 7 (forced)\n20 2 1@em0 MASTER\n"
	if diff := cmp.Diff(want, b.calls()); diff != "" {
		t.Error(diff)
	}
	b.add(1, carp.Master, carp.Backup, 8) // after Close
	if got := b.calls(); got != want {
		t.Errorf("called after Close:\n%s", got)
	}
}

// While a script runs, changes come together to the newest; and the scripts behind
// it hear of that one only.
func TestCoalesce(t *testing.T) {
	b := newBench(t, 0)
	b.script("10-slow", `echo "slow $2 from $CARP_PREV $CARP_SEQ" >>$f; while [ ! -e $f.go ]; do sleep 0.01; done`)
	b.script("20-next", `echo "next $2 from $CARP_PREV $CARP_SEQ" >>$f`)
	b.add(1, carp.Init, carp.Backup, 1)
	b.await("the first", func() bool { return b.calls() != "" })
	b.add(1, carp.Backup, carp.Master, 2)
	b.add(1, carp.Master, carp.Backup, 3)
	b.add(1, carp.Backup, carp.Master, 4)
	if err := os.WriteFile(b.file+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.close()
	want := "slow BACKUP from INIT 1\nslow MASTER from BACKUP 4\nnext MASTER from BACKUP 4\n"
	if diff := cmp.Diff(want, b.calls()); diff != "" {
		t.Error(diff)
	}
}

// A virtual host does not wait for the scripts of another one.
func TestHostsApart(t *testing.T) {
	b := newBench(t, 0)
	b.script("10-wait", `[ $1 = 2@em0 ] || while [ ! -e $f ]; do sleep 0.01; done; echo $1 >>$f`)
	b.add(1, carp.Backup, carp.Master, 1)
	b.add(2, carp.Backup, carp.Master, 1)
	b.close()
	if diff := cmp.Diff("2@em0\n1@em0\n", b.calls()); diff != "" {
		t.Error(diff)
	}
}

func TestFailures(t *testing.T) {
	b := newBench(t, 500*time.Millisecond)
	b.script("10-fails", "echo it is broken; exit 3")
	b.script("20-hangs", "sleep 3600 & echo $! >$f; wait")
	b.script("30-forks", "sleep 3600 & echo $! >>$f")
	b.script("40-everybody", "echo no >>$f")
	b.script("50-nobody", "echo no >>$f")
	for name, mode := range map[string]os.FileMode{"40-everybody": 0o757, "50-nobody": 0o644} {
		if err := os.Chmod(filepath.Join(b.dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	b.add(1, carp.Backup, carp.Master, 1)
	b.close()

	pids := strings.Fields(b.calls())
	if len(pids) != 2 {
		t.Fatalf("calls: %q", pids)
	}
	defer exec.Command("kill", pids[1]).Run()
	b.await("the child of the one that hangs is dead", func() bool { return exec.Command("kill", "-0", pids[0]).Run() != nil })
	if err := exec.Command("kill", "-0", pids[1]).Run(); err != nil {
		t.Errorf("the child of the one that ended by itself is dead: %v", err)
	}
	var exit *exec.ExitError
	for i, ok := range []func(error) bool{
		func(err error) bool { return errors.As(err, &exit) && exit.ExitCode() == 3 },
		func(err error) bool { return errors.Is(err, ErrTimeout) },
		func(err error) bool { return err == nil },
		func(err error) bool { return errors.Is(err, ErrWorldWritable) },
		func(err error) bool { return errors.Is(err, ErrNotExecutable) },
	} {
		if len(b.results) != 5 || !ok(b.results[i].Err) {
			t.Fatalf("number %d of %+v", i, b.results)
		}
	}
}

// A Close that may not wait kills what runs, and begins nothing.
func TestCloseInTime(t *testing.T) {
	b := newBench(t, 0)
	b.script("10-hangs", "echo $2 >>$f; sleep 3600")
	b.script("20-next", "echo next >>$f")
	b.add(1, carp.Backup, carp.Master, 1)
	b.await("begun", func() bool { return b.calls() != "" })
	b.add(1, carp.Master, carp.Init, 2)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if n := b.q.Close(ctx); n != 1 {
		t.Errorf("%d unfinished", n)
	}
	if diff := cmp.Diff("MASTER\n", b.calls()); diff != "" {
		t.Error(diff)
	}
}

func TestFind(t *testing.T) {
	if s, err := Find(filepath.Join(t.TempDir(), "nonesuch")); s != nil || err != nil {
		t.Errorf("no directory: %v, %v", s, err)
	}
	b := newBench(t, 0)
	b.script("5-first", "")
	if err := os.Symlink("5-first", filepath.Join(b.dir, "6-link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("gone", filepath.Join(b.dir, "7-broken")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(b.dir, "8-dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	scripts, err := Find(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range scripts {
		got = append(got, fmt.Sprint(s.Name, " ", s.Err == nil))
	}
	if diff := cmp.Diff([]string{"5-first true", "6-link true", "7-broken false", "8-dir false"}, got); diff != "" {
		t.Error(diff)
	}
	if err := os.Chmod(b.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(b.dir); !errors.Is(err, ErrWorldWritable) {
		t.Errorf("a directory for everybody: %v", err)
	}
	if _, err := Find(filepath.Join(b.dir, "5-first")); err == nil || !strings.Contains(err.Error(), "want a directory") {
		t.Errorf("a file: %v", err)
	}
}
