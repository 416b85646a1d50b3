package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/cli"
	"github.com/gocarp/gocarp/internal/netns"
)

// asProgram has the test binary be the program.
const asProgram = "GOCARP_LAB_MAIN"

// program is the firewall, built once.
var program string

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	dir, err := os.MkdirTemp("", "lab-test-*")
	if err == nil {
		program, err = firewall("", dir)
	}
	code := 1
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// need skips, or fails if the environment says so, unless all tools are there.
func need(t *testing.T) {
	t.Helper()
	netns.Require(t, "ip", "nft", "ssh", "ssh-keygen", "dnsmasq", "udhcpc")
	if _, err := lookTool("sshd"); err != nil {
		if os.Getenv("GOCARP_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// measured is what a run with -json comes down to.
type measured struct {
	runs     []runLine
	verdicts []summary
}

// run runs the lab, which must not fail.
func run(t *testing.T, args ...string) measured {
	t.Helper()
	var out, errs bytes.Buffer
	code := lab(t.Context(), append(args, "-json", "-v", "-firewall", program), &out, &errs)
	t.Logf("lab %s: exit %d\n%s", strings.Join(args, " "), code, &errs)
	var m measured
	for line := range strings.Lines(out.String()) {
		var r runLine
		var v struct{ Verdict *summary }
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if v.Verdict != nil {
			m.verdicts = append(m.verdicts, *v.Verdict)
			t.Log(v.Verdict.Verdict)
			continue
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		m.runs = append(m.runs, r)
	}
	if code != cli.OK {
		t.Errorf("exit %d, want 0", code)
	}
	return m
}

// runs is how often to repeat what takes long: a few times, or as often as
// GOCARP_MEASURE says.
func runs(few int) string {
	n, _ := strconv.Atoi(os.Getenv("GOCARP_MEASURE"))
	return strconv.Itoa(max(n, few))
}

// TestWanted: what an operator wants to happen loses no probe in 20 times, and no
// connection. A run in which this machine stood still is not counted; see the log.
func TestWanted(t *testing.T) {
	need(t)
	for _, scenario := range []string{"planned", "maintenance"} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			m := run(t, "-scenario", scenario, "-n", "20")
			if len(m.runs) != 20 {
				t.Errorf("%d runs, want 20", len(m.runs))
			}
			for _, r := range m.runs {
				if r.Lost > 0 && !r.Excused {
					t.Errorf("run %d: %d of %d probes lost", r.Run, r.Lost, r.Probes)
				}
			}
		})
	}
}

// TestUnwanted: a failure costs the time that it takes to find out, and no connection.
func TestUnwanted(t *testing.T) {
	t.Parallel()
	need(t)
	for _, scenario := range []string{"crash", "power", "homelab"} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			svg := filepath.Join(t.TempDir(), "picture.svg")
			few, sessions := 2, 2 // TCP and SSH
			if scenario == "homelab" {
				few, sessions = 1, 3 // and pings
			}
			m := run(t, "-scenario", scenario, "-n", runs(few), "-svg", svg)
			for _, r := range m.runs {
				if scenario == "power" && r.Lost < 1000 {
					t.Errorf("run %d: only %d probes lost: nothing was broken", r.Run, r.Lost)
				}
				if len(r.Sessions) != sessions {
					t.Errorf("run %d: sessions %v, want %d of them", r.Run, r.Sessions, sessions)
				}
			}
			picture, err := os.ReadFile(svg)
			if err != nil || !bytes.Contains(picture, []byte("MASTER")) || !bytes.HasSuffix(picture, []byte("</svg>\n")) {
				t.Errorf("no picture: %v, %d octets", err, len(picture))
			}
		})
	}
}

// TestCleanUp: nothing stays behind a run that is interrupted, or fails; and what one
// leaves that is killed, the next one takes away.
func TestCleanUp(t *testing.T) {
	t.Parallel()
	need(t)
	for _, tt := range []struct {
		name   string
		signal syscall.Signal
	}{{"SIGINT", syscall.SIGINT}, {"SIGTERM", syscall.SIGTERM}, {"SIGKILL", syscall.SIGKILL}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tmp, before := t.TempDir(), machine(t)
			cmd := start(t, tmp, "-scenario", "planned", "-n", "1000", "-v", "-firewall", program)
			if got := left(t, tmp); len(got) < 3 {
				t.Fatalf("%d processes run, want more: %q", len(got), got)
			}
			cmd.Process.Signal(tt.signal)
			cmd.Wait()
			if tt.signal == syscall.SIGKILL {
				if len(left(t, tmp)) == 0 {
					t.Fatal("nothing is left to sweep up")
				}
				// One that fails at once sweeps all the same, and leaves nothing itself.
				next := command(t, tmp, "-firewall", filepath.Join(tmp, "missing"))
				if out, err := next.CombinedOutput(); err == nil || !strings.Contains(string(out), "no such file") {
					t.Errorf("no firewall: %v\n%s", err, out)
				}
			} else if code := cmd.ProcessState.ExitCode(); code != cli.Failure {
				t.Errorf("exit %d, want 1", code)
			}
			if got := left(t, tmp); len(got) > 0 {
				t.Errorf("processes stay behind: %q", got)
			}
			if files, _ := filepath.Glob(filepath.Join(tmp, "*")); len(files) > 0 {
				t.Errorf("files stay behind: %q", files)
			}
			if diff := cmp.Diff(before, machine(t)); diff != "" {
				t.Errorf("this machine is not what it was: %s", diff)
			}
		})
	}
}

// command is the program with a place for its files.
func command(t *testing.T, tmp string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+tmp)
	return cmd
}

// start starts the program and waits until it has measured something.
func start(t *testing.T, tmp string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := command(t, tmp, args...)
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd.Stderr = file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	err = await(context.Background(), settleTimeout, "a first run", func() error {
		log, err := os.ReadFile(file.Name())
		if err == nil && !bytes.Contains(log, []byte("run 1: ")) {
			err = errors.New("nothing measured yet")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

// left are the command lines of the processes that have to do with a directory.
func left(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		b, _ := os.ReadFile(f) // it may have ended
		if line := strings.ReplaceAll(string(b), "\x00", " "); strings.Contains(line, dir) && !strings.Contains(line, "lab.test") {
			all = append(all, line)
		}
	}
	return all
}

// machine is the network of this machine, which the lab has no business with.
func machine(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, what := range []string{"-br link", "-br addr", "route show table all", "rule", "netns"} {
		out, err := exec.Command("ip", strings.Fields(what)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s: %v: %s", what, err, out)
		}
		all.Write(out)
	}
	return all.String()
}

// TestSpare: a run that is under way is not swept up.
func TestSpare(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir, remove, err := makeDir()
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	silent := logger{to: io.Discard}
	if err := sweep(silent); err != nil || !exists(dir) {
		t.Errorf("a run is swept up that is under way: %v", err)
	}
	stale := filepath.Join(os.TempDir(), "gocarp-lab-stale")
	if err := os.Mkdir(stale, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := sweep(silent); err != nil || !exists(stale) {
		t.Errorf("a run is swept up that is about to begin: %v", err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(stale, old, old); err != nil {
		t.Fatal(err)
	}
	if err := sweep(silent); err != nil || exists(stale) {
		t.Errorf("what a run has left is not swept up: %v", err)
	}
}
