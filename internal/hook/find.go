package hook

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// Why a script is not called.
var (
	ErrWorldWritable = errors.New("everybody may write to it")
	ErrNotExecutable = errors.New("it cannot be executed")
)

// A Script is one of the scripts of a directory.
type Script struct {
	Name string // as "10-wan"
	Path string
	Err  error // why it is not called; nil if it is
}

// scriptName leaves out what editors and package managers leave about.
var scriptName = regexp.MustCompile(`^[0-9]+-[A-Za-z0-9_-]+(\.(sh|py|pl|php))?$`)

// IsScript reports whether name is one that a script can have.
func IsScript(name string) bool { return scriptName.MatchString(name) }

const worldWritable = 0o002

// Find lists the scripts of dir in the order in which they are called: regular
// files, or links to some, whose names are a number, "-", and letters, digits, "-"
// and "_", perhaps with the extension of a scripting language. There are none if
// there is no dir. It fails if everybody may write to dir.
func Find(dir string) ([]Script, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("hook: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("hook: %s: want a directory", dir)
	case info.Mode()&worldWritable != 0:
		return nil, fmt.Errorf("hook: %s: %w", dir, ErrWorldWritable)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("hook: %w", err)
	}
	var scripts []Script
	for _, e := range entries {
		if !IsScript(e.Name()) {
			continue
		}
		s := Script{Name: e.Name(), Path: filepath.Join(dir, e.Name())}
		s.Err = usable(s.Path)
		scripts = append(scripts, s)
	}
	return scripts, nil
}

// usable says why a script is not called, if that is so.
func usable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is no file")
	case info.Mode()&worldWritable != 0:
		return ErrWorldWritable
	case info.Mode()&0o111 == 0:
		return ErrNotExecutable
	}
	return nil
}
