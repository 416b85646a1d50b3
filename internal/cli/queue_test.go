package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// A reader that does not read holds nobody up, and is told what it missed.
func TestQueue(t *testing.T) {
	r, w := io.Pipe()
	var lost uint64
	q := NewQueue(w, func(n uint64) { lost += n })
	for range queueLines + 500 {
		if n, err := q.Write([]byte("line\n")); n != 5 || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	var got bytes.Buffer
	read := make(chan struct{})
	go func() { defer close(read); io.Copy(&got, r) }()
	q.Flush()
	w.Close()
	<-read
	lines := strings.Count(got.String(), "line\n")
	if lines < queueLines || uint64(lines)+lost != queueLines+500 {
		t.Errorf("%d lines read and %d said to be lost of %d", lines, lost, queueLines+500)
	}
}
