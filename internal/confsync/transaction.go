package confsync

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Dir is the directory, in that of the configuration, where transactions are kept.
const Dir = ".sync"

// The files in Dir. Which of them is there says how far a transaction has come.
const (
	planFile    = "plan"          // files are being stored beside others
	journalFile = "journal"       // files are being exchanged: all is to be undone
	doneFile    = "done"          // the new files count: what is left over is to go
	previousDir = "previous"      // what was there before
	nextDir     = "previous.next" // the same, for the transaction at hand
)

// An Op is what is to be done to a file.
type Op struct {
	Name   string      // as in a Tree; kept for Previous
	Path   string      // where it is
	Remove bool        // or: Data and Mode are to be there
	Mode   fs.FileMode // permissions
	Data   []byte
}

// Ops are what makes from, which is what is there, to. Path is asked where each file is.
func Ops(from, to Tree, path func(name string) string) []Op {
	var ops []Op
	for _, c := range Diff(from, to) {
		f, stays := to[c.Name]
		ops = append(ops, Op{Name: c.Name, Path: path(c.Name), Remove: !stays, Mode: f.Mode, Data: f.Data})
	}
	return ops
}

// A step is an Op as the journal has it.
type step struct {
	Name   string      `json:"name"`
	Path   string      `json:"path"` // absolute
	Remove bool        `json:"remove,omitempty"`
	Had    bool        `json:"had"`            // there was a file before
	Mode   fs.FileMode `json:"mode,omitempty"` // of the file that was there
}

// A plan is what a journal holds.
type plan struct {
	Steps []step   `json:"steps"`
	Dirs  []string `json:"dirs,omitempty"` // that were made for the new files
}

// The names under which new and old contents wait beside their files. Neither the
// daemon nor its hooks read names like these.
func (s step) fresh() string { return beside(s.Path, "new") }
func (s step) old() string   { return beside(s.Path, "old") }

func beside(path, what string) string {
	return filepath.Join(filepath.Dir(path), ".sync-"+filepath.Base(path)+"."+what)
}

// Apply does all of ops, or nothing. If it fails, everything is as before; should the
// disk not even allow that, the error says that [Recover] has to follow. Whoever calls
// it, or Recover, keeps others from doing so in the same directory.
func Apply(dir string, ops []Op) error { return disk{}.apply(dir, ops) }

func (d disk) apply(dir string, ops []Op) error {
	if len(ops) == 0 {
		return nil
	}
	if _, err := d.recover(dir); err != nil { // of one before this
		return err
	}
	p, err := newPlan(dir, ops)
	if err != nil {
		return fmt.Errorf("confsync: nothing was changed: %w", err)
	}
	in := func(name string) string { return filepath.Join(dir, Dir, name) }
	err = d.mkdir(filepath.Join(dir, Dir), 0o700)
	if err == nil {
		err = d.stage(in, p, ops)
	}
	if err == nil {
		err = d.rename(in(planFile), in(journalFile))
	}
	for i := 0; i < len(p.Steps) && err == nil; i++ {
		err = d.exchange(p.Steps[i])
	}
	if err == nil {
		err = d.rename(in(journalFile), in(doneFile))
	}
	// From the last rename on the new files count, whatever becomes of the rest.
	_, statErr := os.Lstat(in(doneFile))
	_, undone := d.recover(dir)
	switch {
	case statErr == nil:
		return nil
	case undone != nil:
		return fmt.Errorf("confsync: %w; what was begun is undone at the next start: %w", err, undone)
	}
	return fmt.Errorf("confsync: nothing was changed: %w", err)
}

// newPlan looks at the files that are there.
func newPlan(dir string, ops []Op) (plan, error) {
	var p plan
	dir, err := filepath.Abs(dir)
	if err != nil {
		return p, err
	}
	seen := make(map[string]bool)
	for _, op := range ops {
		path, err := filepath.Abs(op.Path)
		if err != nil || op.Path == "" || seen[path] {
			return p, fmt.Errorf("%s: want a path of its own, not %q", op.Name, op.Path)
		}
		seen[path] = true
		s := step{Name: op.Name, Path: path, Remove: op.Remove}
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return p, err
		case !info.Mode().IsRegular():
			return p, fmt.Errorf("%s is no file of its own, but a link or something else: leave it out, or make it one", path)
		default:
			s.Had, s.Mode = true, info.Mode().Perm()
		}
		p.Steps = append(p.Steps, s)
		if parent := filepath.Dir(path); parent == filepath.Join(dir, filepath.Clean(hooksDir)) {
			if _, err := os.Lstat(parent); errors.Is(err, fs.ErrNotExist) && len(p.Dirs) == 0 {
				p.Dirs = append(p.Dirs, parent)
			}
		}
	}
	return p, nil
}

// stage stores everything beside the files, which stay as they are.
func (d disk) stage(in func(string) string, p plan, ops []Op) error {
	if err := d.writeJSON(in(planFile), p); err != nil {
		return err
	}
	for _, path := range p.Dirs {
		if err := d.mkdir(path, 0o755); err != nil {
			return err
		}
	}
	if err := d.removeAll(in(nextDir)); err != nil {
		return err
	}
	if err := d.mkdir(in(nextDir), 0o700); err != nil {
		return err
	}
	for i, s := range p.Steps {
		var like fs.FileInfo
		if s.Had {
			old, err := os.ReadFile(s.Path)
			if err != nil {
				return err
			}
			if like, err = os.Stat(s.Path); err != nil {
				return err
			}
			if err := d.write(s.old(), old, s.Mode, like); err != nil {
				return err
			}
			if err := d.write(filepath.Join(in(nextDir), strconv.Itoa(i)), old, 0o600, nil); err != nil {
				return err
			}
		}
		if !s.Remove {
			if err := d.write(s.fresh(), ops[i].Data, ops[i].Mode, like); err != nil {
				return err
			}
		}
		if err := syncDir(filepath.Dir(s.Path)); err != nil {
			return err
		}
	}
	return d.writeJSON(filepath.Join(in(nextDir), planFile), p)
}

// exchange puts the new content of a file in place.
func (d disk) exchange(s step) error {
	if s.Remove {
		return d.remove(s.Path)
	}
	return d.rename(s.fresh(), s.Path)
}
