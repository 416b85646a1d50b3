//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A pair is what runs on the two firewalls.
type pair struct {
	name  string
	tools []string // that it needs
	syncs bool     // connections are meant to survive
	tied  bool     // if one side is lost, both move

	// start starts it on a firewall; the topology is there.
	start func(*bench, *node) error

	// maintenance has a firewall hand over its work, or take it back. nil: the
	// programs know nothing like it.
	maintenance func(b *bench, n *node, on bool) error

	// settled is nil once a firewall does all the work, the other one is ready to
	// take over, and knows all connections, as far as the programs say.
	settled func(b *bench, master *node) error
}

var pairs = []*pair{ours, ucarp, keepalived, keepalivedConntrackd}

// pairNames are what -pair takes.
func pairNames() []string {
	var names []string
	for _, p := range pairs {
		names = append(names, p.name)
	}
	return names
}

// choosePairs are the pairs of a list of names.
func choosePairs(list string) ([]*pair, error) {
	if list == "all" {
		return pairs, nil
	}
	var out []*pair
	for name := range strings.SplitSeq(list, ",") {
		i := slices.Index(pairNames(), name)
		if i < 0 {
			return nil, fmt.Errorf("want all, or a list of %s", strings.Join(pairNames(), ", "))
		}
		out = append(out, pairs[i])
	}
	return out, nil
}

// timers say how fast a pair is to find out that the master is gone.
type timers struct {
	advBase int // seconds
	advSkew int // of fw1, in 1/256 s
}

// backupSkew is that of fw2, which only has to be more.
func (t timers) backupSkew() int {
	if t.advBase == 0 {
		return t.advSkew + 1
	}
	return t.advSkew + 100
}

// skew is that of a firewall.
func (t timers) skew(n *node) int {
	if n.Name == "fw1" {
		return t.advSkew
	}
	return t.backupSkew()
}

// interval is the time between two adverts of the master.
func (t timers) interval() time.Duration {
	return time.Duration(t.advBase)*time.Second + time.Duration(t.advSkew)*time.Second/256
}

// dead is the time that the backup waits for the next advert: three times advbase, and
// the skew once; or three times the skew if there is nothing else.
func (t timers) dead() time.Duration {
	skew := time.Duration(t.backupSkew()) * time.Second / 256
	if t.advBase == 0 {
		return 3 * skew
	}
	return 3*time.Duration(t.advBase)*time.Second + skew
}

// A file is one of a configuration.
type file struct{ name, text string }

// write makes files in a directory. Those that begin with #! can be run.
func write(dir string, files ...file) error {
	var errs []error
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		mode := os.FileMode(0o600)
		if strings.HasPrefix(f.text, "#!") {
			mode = 0o755
		}
		errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(f.text), mode))
	}
	return errors.Join(errs...)
}

// hookFile is where hooks note when they were called.
func (n *node) hookFile() string { return filepath.Join(n.dir, "hooks") }

// note is the part of a hook script that does so.
func (n *node) note(words string) string {
	return fmt.Sprintf("echo \"$(date +%%s%%N) %s\" >>%s\n", words, n.hookFile())
}
