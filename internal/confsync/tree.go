package confsync

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What a tree may hold. It has to fit into one request, in base64.
const (
	MaxFile  = 256 << 10 // octets
	MaxTotal = 2 << 20   // octets
	MaxFiles = 1024
)

// A File is a file of the configuration.
type File struct {
	Name   string      `json:"name"` // see SectionOf
	Mode   fs.FileMode `json:"mode"` // permissions only
	SHA256 string      `json:"sha256"`
	Data   []byte      `json:"data"`
}

// A Tree is a set of files by their names.
type Tree map[string]File

// NewFile is a file with its digest.
func NewFile(name string, mode fs.FileMode, data []byte) File {
	return File{name, mode.Perm(), digest(data), data}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// NewTree takes files that came from elsewhere. It fails if one of them is none of ours,
// is damaged, or is a script that everybody may write to; or if they are too many.
func NewTree(files []File) (Tree, error) {
	t, total := make(Tree), 0
	for _, f := range files {
		section, ok := SectionOf(f.Name)
		_, twice := t[f.Name]
		switch {
		case !ok:
			return nil, fmt.Errorf("confsync: %q: no file of this name is synchronised", f.Name)
		case twice:
			return nil, fmt.Errorf("confsync: %s is there twice", f.Name)
		case len(f.Data) > MaxFile:
			return nil, fmt.Errorf("confsync: %s: more than %d octets", f.Name, MaxFile)
		case f.Mode&^0o777 != 0:
			return nil, fmt.Errorf("confsync: %s: mode %v: want permissions only", f.Name, f.Mode)
		case section == Hooks && f.Mode&0o002 != 0:
			return nil, fmt.Errorf("confsync: %s: everybody may write to it", f.Name)
		case f.SHA256 != digest(f.Data):
			return nil, fmt.Errorf("confsync: %s: its SHA-256 is another one: it was damaged on the way", f.Name)
		}
		total += len(f.Data)
		t[f.Name] = f
	}
	if len(t) > MaxFiles || total > MaxTotal {
		return nil, fmt.Errorf("confsync: %d files with %d octets: want %d and %d at most", len(t), total, MaxFiles, MaxTotal)
	}
	return t, nil
}

// Files are the files of some sections, by name.
func (t Tree) Files(sections []Section) []File {
	var all []File
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if s, _ := SectionOf(name); slices.Contains(sections, s) {
			all = append(all, t[name])
		}
	}
	return all
}

// Digest tells trees apart.
func (t Tree) Digest() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(h, "%q %o %s\n", name, t[name].Mode, t[name].SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Read reads the files of dir that have a section, and those of extra, which maps their
// names in section extra to their paths. Links are followed. Extra files need not exist.
func Read(dir string, extra map[string]string) (Tree, error) {
	var files []File
	add := func(name, path string) error {
		f, err := readFile(name, path)
		if err == nil {
			files = append(files, f)
		}
		return err
	}
	for _, sub := range []string{"", hooksDir} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil && !(sub != "" && errors.Is(err, fs.ErrNotExist)) {
			return nil, fmt.Errorf("confsync: %w", err)
		}
		for _, e := range entries {
			name := sub + e.Name()
			if _, ok := SectionOf(name); !ok {
				continue
			}
			if err := add(name, filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("confsync: %w", err)
			}
		}
	}
	for name, path := range extra {
		if err := add(extraDir+name, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("confsync: %w", err)
		}
	}
	return NewTree(files)
}

func readFile(name, path string) (File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return File{}, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for somebody to write
		return File{}, fmt.Errorf("%s: it is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	return NewFile(name, info.Mode(), data), err
}

// Path is where a file is: in dir, or where extra says. It is empty if extra does not.
func Path(dir, name string, extra map[string]string) string {
	if e, ok := strings.CutPrefix(name, extraDir); ok {
		return extra[e]
	}
	return filepath.Join(dir, name)
}
