package check

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhileExists(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drain")
	probe := WhileExists(path)
	if err := probe(t.Context()); err != nil {
		t.Errorf("no file: %v", err)
	}
	for _, tt := range []struct {
		text, reason string
		by           int
	}{
		{"", "drain exists", 0},
		{"50\n", "drain exists: 50", 50},
		{"128 disk swap\non slot 3\n", "drain exists: 128 disk swap on slot 3", 128},
		{"back at 5", "drain exists: back at 5", 0},
		{"99999999999", "drain exists: 99999999999", 0},
	} {
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var f *Failure
		if err := probe(t.Context()); !errors.As(err, &f) || f.By != tt.by || !strings.HasSuffix(f.Reason, tt.reason) {
			t.Errorf("%q: %#v, want %d, %q", tt.text, err, tt.by, tt.reason)
		}
	}
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := probe(t.Context()); err == nil || len(err.Error()) > len(path)+2*maxNote {
		t.Errorf("a long file: %v", err)
	}
	if err := WhileExists(filepath.Dir(path))(t.Context()); err == nil {
		t.Error("a directory does not count")
	}
	if err := WhileExists(filepath.Join(path, "below"))(t.Context()); err == nil {
		t.Error("passes although it cannot find out")
	}
}

func TestWhileMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ready")
	probe := WhileMissing(path)
	if err := probe(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v, want %v", err, os.ErrNotExist)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := probe(t.Context()); err != nil {
		t.Errorf("file exists: %v", err)
	}
}
