package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/netns"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestConf: each configuration to start from is one, without a warning, on a host with
// the interfaces it names; its plan is the golden one.
func TestConf(t *testing.T) {
	t.Parallel()
	netns.Require(t, "ip", "dnsmasq")
	hosts := map[string]map[string]string{ // interfaces, and their own addresses
		"faq-fw1":         {"em0": "172.16.0.1/24", "em1": "10.10.10.1/24", "em2": "192.0.2.1/24"},
		"faq-fw2":         {"em0": "172.16.0.2/24", "em1": "10.10.10.2/24", "em2": "192.0.2.2/24"},
		"opnsense-main":   {"vtnet0": "", "vtnet1": "10.102.0.2/24", "vtnet2": "10.103.0.2/24"},
		"opnsense-backup": {"vtnet0": "", "vtnet1": "10.102.0.3/24", "vtnet2": "10.103.0.3/24"},
	}
	dirs := globbed(t, "conf/*-*")
	if len(dirs) != len(hosts) {
		t.Fatal(dirs)
	}
	bin := t.TempDir() // which DHCP client is installed here does not matter
	if err := os.WriteFile(filepath.Join(bin, "dhclient"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, conf := range dirs {
		name := filepath.Base(conf)
		ns := netns.New(t, name).NS(name)
		for ifname, addr := range hosts[name] {
			ns.IP("link add %s type veth peer name %s-far", ifname, ifname)
			if addr != "" {
				ns.Addr(ifname, addr)
			}
		}
		// As its README says: cp -r, chmod -R go=.
		dir := filepath.Join(t.TempDir(), name)
		if err := os.CopyFS(dir, os.DirFS(conf)); err != nil {
			t.Fatal(err)
		}
		ns.Run("chmod", "-R", "go=", dir)

		var stdout, stderr bytes.Buffer
		cmd := exec.Command(program, "run", "-C", dir, "-n")
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		var err error
		ns.Do(func() { err = cmd.Start() })
		if err == nil {
			err = cmd.Wait()
		}
		if err != nil || stderr.Len() > 0 {
			t.Errorf("%s: %v\n%s", name, err, &stderr)
		}
		golden := filepath.Join("testdata/conf", name+".txt")
		if *update {
			if err := os.WriteFile(golden, stdout.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), stdout.String()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		for _, h := range globbed(t, filepath.Join(dir, hooksDir, "*")) {
			for _, state := range []string{"MASTER", "BACKUP", "INIT"} {
				if out, err := exec.Command(h, "1@vtnet1", state).CombinedOutput(); err != nil {
					t.Errorf("%s: %s %s: %v: %s", name, filepath.Base(h), state, err, out)
				}
			}
		}
		for _, file := range []string{"dnsmasq.conf", "dnsmasq-options.conf"} {
			path := filepath.Join(dir, file)
			if _, err := os.Stat(path); err != nil {
				continue
			}
			if out, err := exec.Command("dnsmasq", "--test", "-C", path).CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v: %s", name, file, err, out)
			}
		}
	}
}

func globbed(t *testing.T, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
