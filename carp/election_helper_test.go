package carp_test

import (
	"errors"
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
	packets, err := pcap.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		t.Fatal(err)
	}
	var frames []capturedPacket
	for _, p := range packets {
		if packet, ok := parse(p.Data); ok {
			frames = append(frames, capturedPacket{p.Time, packet})
		}
	}
	return frames
}
