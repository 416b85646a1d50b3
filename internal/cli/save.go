package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Save makes b the content of a file, or leaves the file as it was.
func Save(name string, b []byte) error {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real // replace the file, not the link
	}
	if fi, err := os.Stat(name); err == nil && !fi.Mode().IsRegular() {
		return write(name, os.O_WRONLY, b) // a terminal or a pipe cannot be replaced
	}
	half := fmt.Sprintf("%s.%d.tmp", name, os.Getpid())
	err := write(half, os.O_WRONLY|os.O_CREATE|os.O_EXCL, b)
	if err == nil {
		err = os.Rename(half, name)
	}
	if err != nil {
		os.Remove(half)
	}
	return err
}

// write opens a file and writes b to it.
func write(name string, flags int, b []byte) error {
	f, err := os.OpenFile(name, flags, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
