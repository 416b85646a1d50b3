package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gocarp/gocarp/internal/confsync"
)

// checkDir is where files are checked that are not in place yet.
const checkDir = "check"

// checkFiles finds out whether this machine could do what merged asks for, as at a
// start. The other files of the directory are as they are.
func (h *host) checkFiles(merged confsync.Tree) error {
	dir := filepath.Join(h.dir, confsync.Dir, checkDir)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return fmt.Errorf("cannot check the files, nothing was changed: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := stage(h.dir, dir, merged); err != nil {
		return fmt.Errorf("cannot check the files, nothing was changed: %w", err)
	}
	s, err := readSetup(dir)
	if err == nil {
		err = s.prepare()
	}
	return err
}

// stage makes dir a copy of from, with merged for what is synchronised, and with links
// to the rest, such as secrets.
func stage(from, dir string, merged confsync.Tree) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if _, synced := confsync.SectionOf(name); synced || name == confsync.Dir || name == hooksDir {
			continue
		}
		if err := os.Symlink(filepath.Join(from, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	mode := fs.FileMode(0o755)
	if info, err := os.Stat(filepath.Join(from, hooksDir)); err == nil {
		mode = info.Mode().Perm()
	}
	hooks := filepath.Join(dir, hooksDir)
	if err := errors.Join(os.Mkdir(hooks, 0o700), os.Chmod(hooks, mode)); err != nil {
		return err
	}
	for name, f := range merged {
		path := confsync.Path(dir, name, nil)
		if path == "" {
			continue // an extra file, of which we know nothing
		}
		if err := errors.Join(os.WriteFile(path, f.Data, 0o600), os.Chmod(path, f.Mode)); err != nil {
			return err
		}
	}
	return nil
}
