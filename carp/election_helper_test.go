package carp_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/pcap"
)

// captureDirs are the directories with recordings of the kernels: ours, and
// GOCARP_CAPTURES.
func captureDirs() []string {
	dirs := []string{filepath.Join("testdata", "capture")}
	if dir := os.Getenv("GOCARP_CAPTURES"); dir != "" {
		dirs = append(dirs, dir)
	}
	return dirs
}

// A capturedPacket is a CARP packet of a capture.
type capturedPacket struct {
	at     time.Time
	packet carp.Packet
}

// readFrames reads the CARP packets of a pcap file, none if there is no such
// file.
func readFrames(t *testing.T, name string) []capturedPacket {
	t.Helper()
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcap.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var frames []capturedPacket
	for {
		p, err := r.Next()
		if err == io.EOF {
			return frames
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if packet, ok := parse(p.Data); ok {
			frames = append(frames, capturedPacket{p.Time, packet})
		}
	}
}
