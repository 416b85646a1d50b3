package carp_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carpnet"
)

// The oracles are real kernels: what they did with each frame they were sent.
// testdata holds what is needed of the recordings. If GOCARP_CAPTURES names a
// directory with recordings of the same layout, they are run as well.

// eachOracle runs test with the decoded file testdata/NAME, and with ORIGINAL
// below GOCARP_CAPTURES if it is there.
func eachOracle[T any](t *testing.T, name, original string, test func(t *testing.T, data T)) {
	t.Helper()
	files := []string{filepath.Join("testdata", name)}
	if dir := os.Getenv("GOCARP_CAPTURES"); dir != "" {
		if file := filepath.Join(dir, original); exists(file) {
			files = append(files, file)
		}
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { test(t, readJSON[T](t, file)) })
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func readJSON[T any](t *testing.T, file string) T {
	t.Helper()
	var data T
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &data)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return data
}

// hexBytes is a []byte that is written in hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// one is a T that may be written as a list, of which the first counts.
type one[T any] struct{ value T }

func (o *one[T]) UnmarshalJSON(b []byte) error {
	if b[0] != '[' {
		return json.Unmarshal(b, &o.value)
	}
	var list []T
	if err := json.Unmarshal(b, &list); err != nil || len(list) == 0 {
		return err
	}
	o.value = list[0]
	return nil
}

// count is a number that may be written as a list of so many things.
type count int

func (c *count) UnmarshalJSON(b []byte) error {
	if b[0] != '[' {
		return json.Unmarshal(b, (*int)(c))
	}
	var list []json.RawMessage
	err := json.Unmarshal(b, &list)
	*c = count(len(list))
	return err
}

// parse decodes a frame; ok is false if no IP stack would show it to CARP.
func parse(frame []byte) (p carp.Packet, ok bool) {
	err := carpnet.ParseFrame(frame, &p)
	return p, err == nil
}
