package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/pcap"
)

// captureDirs are the directories with captures of real peers and what is known
// about them, one directory below for each kind of peer. GOCARP_CAPTURES names
// a further one.
func captureDirs() []string {
	dirs := []string{"testdata/captures"}
	if dir := os.Getenv("GOCARP_CAPTURES"); dir != "" {
		dirs = append(dirs, dir)
	}
	return dirs
}

// forEach runs a test for every truth file of a kind of peer.
func forEach(t *testing.T, kind string, test func(t *testing.T, dir string, truth []byte)) {
	for _, dir := range captureDirs() {
		dir = filepath.Join(dir, kind)
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no truth files (%v)", dir, err)
		}
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				truth, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if truth[0] == '{' { // others are lists of test vectors
					test(t, dir, truth)
				}
			})
		}
	}
}

func unmarshal(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// TestCapturesComplete wants as many records as a look at fixed offsets finds
// packets, in every capture.
func TestCapturesComplete(t *testing.T) {
	for _, dir := range captureDirs() {
		files := 0
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".pcap" {
				return err
			}
			files++
			t.Run(e.Name(), func(t *testing.T) {
				want := map[string]int{}
				for _, b := range frames(t, path) {
					switch kind := binary.BigEndian.Uint16(b[12:]); {
					case kind == 0x0800 && b[23] == 240:
						want["pfsync"]++
					case kind == 0x0800 && b[23] == 112 && b[17] != 40, // but for one VRRP packet
						kind == 0x86dd && b[20] == 112:
						want["carp"]++
					}
				}
				have := map[string]int{}
				for _, p := range packets(t, "-r", path) {
					have[p.Proto]++
				}
				if fmt.Sprint(have) != fmt.Sprint(want) {
					t.Errorf("records %v, want %v", have, want)
				}
			})
			return nil
		})
		if err != nil || files == 0 {
			t.Errorf("%s: %d captures, %v", dir, files, err)
		}
	}
}

// frames reads a capture file.
func frames(t *testing.T, path string) [][]byte {
	t.Helper()
	packets, err := pcap.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, p := range packets {
		all = append(all, p.Data)
	}
	return all
}

// keyFlags makes a -carp flag.
func keyFlags(vhid string, pass, lladdr string, addrs ...string) []string {
	words := "vhid " + vhid
	if pass != "" {
		words += " pass " + pass
	}
	if lladdr != "" {
		words += " lladdr " + lladdr
	}
	return []string{"-carp", words + " " + strings.Join(addrs, " ")}
}
