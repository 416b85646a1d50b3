package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/vip"
)

// What makes hand-overs smooth is optional for package carp, and would not be missed.
var _ interface {
	carp.Addrs
	carp.AddrSetter
	carp.Yielder
	carp.Silencer
} = (*vip.Applier)(nil)

var (
	_ carp.Demoter    = (*demote.Member)(nil)
	_ pfsync.Demoter  = (*demote.Member)(nil)
	_ pfsync.Expirer  = (*pfsync.Memory)(nil)
	_ pfsync.Digester = (*pfsync.Memory)(nil)
)

// program is the firewall that the live tests run.
var program string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	flag.Parse()
	if !slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.parallel") }) {
		flag.Set("test.parallel", "12") // the live tests wait far more than they compute
	}
	dir, err := os.MkdirTemp("", "firewall-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // one test runs it without privileges
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Setenv("GOCARP_RUN_DIR", filepath.Join(dir, "run"))
	program = filepath.Join(dir, "firewall")
	args := []string{"build", "-o", program}
	if raced() {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// raced reports whether the test has the race detector.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// files makes a directory of them. Those in carp.d can be executed.
func files(t *testing.T, all map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range all {
		path := filepath.Join(dir, name)
		mode := os.FileMode(0o600)
		if strings.HasPrefix(name, hooksDir) {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
