package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A firewall was killed in the middle of a synchronisation, and the kernel takes a
// moment to let go of its lock. The next one waits, and undoes the synchronisation
// before it reads the files: it complains about what the old file has.
func TestStartAfterKill(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hostname.carp1")
	journal, err := json.Marshal(map[string]any{"steps": []map[string]any{{"name": "hostname.carp1", "path": path, "had": true, "mode": 0o600}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, ".sync"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		path: "newword\n", filepath.Join(dir, ".sync-hostname.carp1.old"): "oldword\n",
		filepath.Join(dir, ".sync", "journal"): string(journal),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dying, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(lockWait/4, func() { dying.Close() })

	var stdout, stderr strings.Builder
	code := run(context.Background(), []string{"run", "-C", dir, "-s", filepath.Join(dir, "s")}, &stdout, &stderr)
	if code != 2 || !strings.Contains(stderr.String(), "oldword") {
		t.Errorf("exit %d, want 2 because of \"oldword\": %s", code, &stderr)
	}
}

// The lock of one that runs is not waited for without end.
func TestLockTaken(t *testing.T) {
	dir := t.TempDir()
	first, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if f, err := lockDir(dir); err == nil || !strings.Contains(err.Error(), "another firewall runs") {
		t.Errorf("a second lock: %v, %v", f, err)
	}
}
