package confsync

import (
	"fmt"
	"path/filepath"
	"time"
)

// A State is what a node remembers of synchronisations.
type State struct {
	// Generation counts the configurations that a master has had. A node with an older
	// one than the receiver's has been away while the other one was changed.
	Generation uint64 `json:"generation"`
	Digest     string `json:"digest"` // of the tree that had this generation first

	Pending []string `json:"pending,omitempty"` // extra files that changed, and whose command was not run
	Last    *Record  `json:"last,omitempty"`
}

// A Record is a synchronisation that was.
type Record struct {
	Time       time.Time `json:"time"`
	From       string    `json:"from"` // names of nodes
	To         string    `json:"to"`
	Sections   []Section `json:"sections"`
	Generation uint64    `json:"generation"`
	Result     string    `json:"result"` // "ok", or what went wrong
}

const stateFile = "state"

// ReadState reads what a node remembers, which is nothing at first.
func ReadState(dir string) (State, error) {
	var s State
	if _, err := readJSON(filepath.Join(dir, Dir, stateFile), &s); err != nil {
		return State{}, fmt.Errorf("confsync: %w", err)
	}
	return s, nil
}

// Write keeps s.
func (s State) Write(dir string) error {
	var d disk
	err := d.mkdir(filepath.Join(dir, Dir), 0o700)
	if err == nil {
		err = d.writeJSON(filepath.Join(dir, Dir, stateFile), s)
	}
	if err != nil {
		return fmt.Errorf("confsync: %w", err)
	}
	return nil
}

// Note makes the next generation of a tree that is not the one of s, and reports whether
// it did.
func (s *State) Note(t Tree) bool {
	d := t.Digest()
	if s.Digest == d {
		return false
	}
	s.Generation, s.Digest = s.Generation+1, d
	return true
}
