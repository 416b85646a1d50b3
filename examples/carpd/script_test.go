//go:build unix

package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
)

// script writes an executable shell script.
func script(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// record is a script that writes its arguments and its environment to a file.
func record(t testing.TB) (path, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "calls")
	return script(t, `echo "$@: $CARP_VHID $CARP_IF $CARP_STATE from $CARP_PREV, $CARP_REASON, $CARP_SEQ" >>`+file), file
}

func readLines(t testing.TB, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// TestScripts: all run, in order, with what they need to know.
func TestScripts(t *testing.T) {
	path, file := record(t)
	changes := make(chan carp.Change, 4)
	seq := uint64(0)
	for _, c := range []struct {
		from, to carp.State
		why      carp.Reason
	}{
		{carp.Init, carp.Backup, carp.ReasonUp},
		{carp.Backup, carp.Master, carp.ReasonMasterTimeout},
		{carp.Master, carp.Backup, carp.ReasonBetterMaster},
		{carp.Backup, carp.Init, carp.ReasonDown},
	} {
		seq++
		changes <- carp.Change{VHID: 7, Interface: "em0", From: c.from, To: c.to, Reason: c.why, Seq: seq}
	}
	startScripts(changes, path, path, slog.New(slog.DiscardHandler)).finish()
	want := []string{
		"7@em0 BACKUP: 7 em0 BACKUP from INIT, up and running, 1",
		"7@em0 MASTER: 7 em0 MASTER from BACKUP, master timed out, 2",
		"7@em0 BACKUP: 7 em0 BACKUP from MASTER, heard a faster master, 3",
		"7@em0 INIT: 7 em0 INIT from BACKUP, taken down, 4",
	}
	if diff := cmp.Diff(want, readLines(t, file)); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestScriptChoice: -up is for MASTER and -down for the rest, and either may be left out.
func TestScriptChoice(t *testing.T) {
	path, file := record(t)
	for _, tt := range []struct{ up, down, want string }{{path, "", "MASTER"}, {"", path, "BACKUP"}} {
		os.Remove(file)
		changes := make(chan carp.Change, 2)
		changes <- carp.Change{VHID: 7, Interface: "em0", To: carp.Backup}
		changes <- carp.Change{VHID: 7, Interface: "em0", To: carp.Master}
		startScripts(changes, tt.up, tt.down, slog.New(slog.DiscardHandler)).finish()
		if got := readLines(t, file); len(got) != 1 || !strings.HasPrefix(got[0], "7@em0 "+tt.want+":") {
			t.Errorf("up %t, down %t: calls %q", tt.up != "", tt.down != "", got)
		}
	}
}

// TestScriptFails: what it says and that it failed is logged, and the next one runs.
func TestScriptFails(t *testing.T) {
	var out bytes.Buffer
	changes := make(chan carp.Change, 2)
	changes <- carp.Change{VHID: 7, Interface: "em0", To: carp.Master, Seq: 1}
	changes <- carp.Change{VHID: 7, Interface: "em0", To: carp.Master, Seq: 2}
	startScripts(changes, script(t, `echo "call $CARP_SEQ"; exit 3`), "", slog.New(slog.NewTextHandler(&out, nil))).finish()
	for _, want := range []string{"call 1", "call 2", "exit status 3", "command failed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, out.String())
		}
	}
}

// TestScriptFlood: of a command that says too much, the beginning is logged.
func TestScriptFlood(t *testing.T) {
	var out bytes.Buffer
	changes := make(chan carp.Change, 1)
	changes <- carp.Change{VHID: 7, Interface: "em0", To: carp.Master}
	startScripts(changes, script(t, `head -c 1000000 /dev/zero | tr '\\0' x`), "", slog.New(slog.NewTextHandler(&out, nil))).finish()
	if n := strings.Count(out.String(), "x"); n < outputLimit || n > outputLimit+100 {
		t.Errorf("%d octets of output logged, want %d", n, outputLimit)
	}
}
