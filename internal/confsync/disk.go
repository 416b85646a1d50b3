package confsync

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A disk does what a transaction does to the disk. Tests have some of it fail.
type disk struct {
	// before is called before each operation, and keeps it from happening. Nil: none.
	before func(op, path string) error
}

func (d disk) fails(op, path string) error {
	if d.before == nil {
		return nil
	}
	return d.before(op, path)
}

// write makes a file, in the place of any other, that is on the disk when write returns,
// with the owner of the file that like describes, if it is not nil.
func (d disk) write(path string, data []byte, mode fs.FileMode, like fs.FileInfo) error {
	if err := d.remove(path); err != nil {
		return err
	}
	if err := d.fails("write", path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if like != nil {
		err = errors.Join(err, setOwner(f, like))
	}
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()) // after chown, which takes bits away
}

// writeJSON is write of v, by way of another file.
func (d disk) writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	if err := d.write(path+".tmp", append(b, '\n'), 0o600, nil); err != nil {
		return err
	}
	return d.rename(path+".tmp", path)
}

// readJSON reads what writeJSON wrote, and reports whether it is there.
func readJSON(path string, v any) (found bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(b, v)
}

// rename puts a file in place, for good when it returns.
func (d disk) rename(from, to string) error {
	if err := d.fails("rename", to); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// remove takes a file away, for good when it returns. It need not be there.
func (d disk) remove(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := d.fails("remove", path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// removeAll takes a directory away.
func (d disk) removeAll(path string) error {
	if err := d.fails("remove", path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// mkdir makes a directory, unless it is there.
func (d disk) mkdir(path string, mode fs.FileMode) error {
	if err := d.fails("mkdir", path); err != nil {
		return err
	}
	if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}
