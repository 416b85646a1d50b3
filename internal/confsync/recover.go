package confsync

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Recover ends a transaction in dir that was cut short: all its files are the old ones,
// or all are the new ones. It says what it did, and is silent if there was nothing to do.
// It is due before anybody reads the files.
func Recover(dir string) (did string, err error) { return disk{}.recover(dir) }

func (d disk) recover(dir string) (did string, err error) {
	if did, err = d.finish(dir); err != nil {
		return "", fmt.Errorf("confsync: a synchronisation was cut short, and cannot be undone: %w", err)
	}
	return did, nil
}

func (d disk) finish(dir string) (did string, err error) {
	in := func(name string) string { return filepath.Join(dir, Dir, name) }
	var p plan
	if found, err := readJSON(in(journalFile), &p); err != nil {
		return "", err
	} else if found {
		for _, s := range p.Steps {
			if err := d.restore(s); err != nil {
				return "", err
			}
		}
		// The old files are back. What is left over is that of a plan.
		if err := d.rename(in(journalFile), in(planFile)); err != nil {
			return "", err
		}
		did = "a synchronisation was cut short: all files are those from before it"
	}
	if found, err := readJSON(in(doneFile), &p); err != nil {
		return "", err
	} else if found {
		if err := d.keepPrevious(in); err != nil {
			return "", err
		}
		if err := d.clear(p); err != nil {
			return "", err
		}
		return "the synchronisation before was completed", d.remove(in(doneFile))
	}
	if found, err := readJSON(in(planFile), &p); err != nil {
		return "", err
	} else if found {
		if err := errors.Join(d.clear(p), d.removeAll(in(nextDir))); err != nil {
			return "", err
		}
		for _, path := range p.Dirs {
			os.Remove(path) // unless somebody has put something into it
		}
		return did, d.remove(in(planFile))
	}
	return did, nil
}

// restore brings back what was there before a step, as often as it is called.
func (d disk) restore(s step) error {
	if !s.Had {
		return d.remove(s.Path)
	}
	if _, err := os.Lstat(s.old()); errors.Is(err, fs.ErrNotExist) {
		return nil // it is back already
	}
	return d.rename(s.old(), s.Path)
}

// clear takes away what was stored beside the files.
func (d disk) clear(p plan) error {
	var errs []error
	for _, s := range p.Steps {
		errs = append(errs, d.remove(s.fresh()), d.remove(s.old()))
	}
	return errors.Join(errs...)
}

// keepPrevious makes what was there before this transaction what Previous returns.
func (d disk) keepPrevious(in func(string) string) error {
	if _, err := os.Lstat(in(nextDir)); errors.Is(err, fs.ErrNotExist) {
		return nil // it is already
	}
	if err := d.removeAll(in(previousDir)); err != nil {
		return err
	}
	return d.rename(in(nextDir), in(previousDir))
}

// ErrNoPrevious says that nothing was applied yet, or that it was forgotten.
var ErrNoPrevious = errors.New("confsync: there is nothing to go back to")

// Forget makes sure that nobody goes back to what was there before the last transaction.
func Forget(dir string) error {
	if err := (disk{}).removeAll(filepath.Join(dir, Dir, previousDir)); err != nil {
		return fmt.Errorf("confsync: %w", err)
	}
	return nil
}

// Previous is what brings back the files that were there before the last transaction.
// Applied, it is a transaction itself, and can be taken back in the same way.
func Previous(dir string) ([]Op, error) {
	var p plan
	from := filepath.Join(dir, Dir, previousDir)
	found, err := readJSON(filepath.Join(from, planFile), &p)
	if err != nil {
		return nil, fmt.Errorf("confsync: %w", err)
	}
	if !found {
		return nil, ErrNoPrevious
	}
	var ops []Op
	for i, s := range p.Steps {
		op := Op{Name: s.Name, Path: s.Path, Remove: !s.Had, Mode: s.Mode}
		if s.Had {
			if op.Data, err = os.ReadFile(filepath.Join(from, strconv.Itoa(i))); err != nil {
				return nil, fmt.Errorf("confsync: %w", err)
			}
		}
		ops = append(ops, op)
	}
	return ops, nil
}
