package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/vip"
)

// What makes hand-overs smooth is optional for package carp, and would not be missed.
var _ interface {
	carp.Addrs
	carp.Yielder
	carp.Silencer
} = (*vip.Applier)(nil)

// program is the carpd that the live tests run.
var program string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	flag.Parse()
	if !slices.ContainsFunc(os.Args, func(a string) bool { return len(a) > 14 && a[:14] == "-test.parallel" }) {
		flag.Set("test.parallel", "12") // the live tests wait far more than they compute
	}
	dir, err := os.MkdirTemp("", "carpd-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // one test runs it without privileges
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	program = filepath.Join(dir, "carpd")
	if err := build(program, "."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build builds a program, with the race detector if the test has it.
func build(output, dir string) error {
	args := []string{"build", "-o", output}
	if raced() {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, dir)...).CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", dir, err, out)
	}
	return nil
}

func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
