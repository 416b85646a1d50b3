package confsync

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRealDisk: a disk that is full, and one that cannot be written to.
func TestRealDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		if os.Getenv("GOCARP_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip("needs root, to mount a small disk: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	from := tree(map[string]string{"hostname.carp1": "vhid 1\n", "sysctl.conf": "a=1\n"})
	for name, f := range from {
		if err := os.WriteFile(filepath.Join(dir, name), f.Data, f.Mode); err != nil {
			t.Fatal(err)
		}
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	large := tree(map[string]string{"hostname.carp1": "vhid 2\n", "sysctl.conf": strings.Repeat("# full\n", 20000)})
	small := tree(map[string]string{"hostname.carp1": "vhid 2\n"})
	check := func(to Tree, want string) {
		t.Helper()
		err := Apply(dir, Ops(from, to, path))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%v, want %s", err, want)
		}
		got, err := Read(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(from, got); diff != "" {
			t.Errorf("%s: %s", want, diff)
		}
	}
	check(large, "no space left on device")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	check(small, "read-only file system")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if err := Apply(dir, Ops(from, small, path)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
